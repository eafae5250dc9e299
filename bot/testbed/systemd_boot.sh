# Boots this machine's own systemd as PID 1 of private namespaces, over an overlay of the machine's root that is thrown
# away. All mounts are made inside the private mount namespace, so they go with it. Standard input is held open by the
# test binary: when it closes, for whatever reason, everything is taken down.
#
# usage: systemd_boot.sh STATE_DIR SHARED_DIR CGROUP_NAME private|host
set -eu
state=$1 shared=$2 name=$3 network=$4
exec 3<&0 </dev/null
cgroups=$(findmnt -nt cgroup2 -o TARGET | head -1)
[ -n "$cgroups" ] || { echo "no cgroup2 hierarchy is mounted"; exit 1; }
namespaces=(--fork --kill-child=SIGKILL --pid --mount --uts --ipc --cgroup --propagation private)
[ "$network" = host ] || namespaces+=(--net)

boot() {
  mount -t tmpfs tmpfs "$state"
  local up=$state/up/etc/systemd/system r=$state/root u n t
  mkdir -p "$up" "$state/scratch" "$r"
  # Services that would reach out of the namespaces, or wait for hardware that is not there.
  for u in systemd-sysctl systemd-modules-load systemd-udevd systemd-udev-trigger systemd-timesyncd systemd-networkd \
    systemd-remount-fs systemd-update-utmp systemd-binfmt systemd-firstboot getty@ serial-getty@; do
    ln -s /dev/null "$up/$u.service"
  done
  for u in dev-hugepages dev-mqueue sys-kernel-debug sys-kernel-tracing sys-kernel-config sys-fs-fuse-connections; do
    ln -s /dev/null "$up/$u.mount"
  done
  mount -t overlay overlay -o "lowerdir=/,upperdir=$state/up,workdir=$state/scratch" "$r"
  : >"$r/etc/fstab"
  mount --bind "$shared" "$r/mnt"
  mount -t proc proc "$r/proc"
  mount -o bind "$r/proc/sys" "$r/proc/sys"
  mount -o remount,bind,ro "$r/proc/sys"
  if [ "$network" = host ]; then mount --rbind /sys "$r/sys"; mount -o remount,bind,ro "$r/sys"; else mount -t sysfs -o ro sysfs "$r/sys"; fi
  mount -t cgroup2 cgroup2 "$r/sys/fs/cgroup"
  for t in run tmp; do mount -t tmpfs tmpfs "$r/$t"; done
  mount -t tmpfs -o mode=755 tmpfs "$r/dev"
  for n in null zero full random urandom tty; do
    touch "$r/dev/$n"
    mount --bind "/dev/$n" "$r/dev/$n"
  done
  mkdir -p "$r/dev/pts" "$r/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=666 devpts "$r/dev/pts"
  ln -s pts/ptmx "$r/dev/ptmx"
  mount -t tmpfs -o mode=1777 tmpfs "$r/dev/shm"
  tr -d - </proc/sys/kernel/random/uuid >"$r/etc/machine-id"
  cd "$r"
  mkdir -p .old
  pivot_root . .old
  umount -l .old
  hostname "$name"
  exec env -i container=dropleak PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=0
}
export -f boot
export state shared name network

mkdir "$cgroups/$name"
remove_cgroups() { find "$cgroups/$name" -depth -type d -exec rmdir {} + 2>/dev/null; }
trap '[ ! -d "$cgroups/$name" ] || remove_cgroups || echo "cgroup $cgroups/$name is left behind"' EXIT
trap '' TERM
(
  echo $BASHPID >"$cgroups/$name/cgroup.procs"
  exec unshare "${namespaces[@]}" bash -euc boot 3<&-
) &
guard=$!
(read -r _ <&3 || true; kill -KILL $guard) & # read fails at the end of input, and that is what it waits for
wait $guard || true
kill -KILL $! 2>/dev/null || true
# The last processes of the namespace may take an instant to be reaped.
for _ in $(seq 100); do
  remove_cgroups && break
  sleep 0.05
done
