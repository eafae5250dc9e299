package demo

import "syscall"

// orphanless makes a child die with us, however we die.
func orphanless() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// playable says whether the demo can be played here.
func playable() error { return nil }
