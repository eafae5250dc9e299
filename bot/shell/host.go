package shell

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// readHosts reads a file of known hosts.
func readHosts(file string) (ssh.HostKeyCallback, error) {
	if file == "" {
		return nil, errors.New("names no file; without known host keys nobody is spoken to")
	}
	check, err := knownhosts.New(file)
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	return check, nil
}

// HostError says that a host is not, or not surely, the one it was.
type HostError struct {
	Changed bool // it showed another key than the known one; else it is not known
	text    string
}

// Error says what is wrong and what to do.
func (e *HostError) Error() string { return e.text }

// hosts is the check of one dial. It keeps its verdict, which the handshake
// wraps beyond recognition.
type hosts struct {
	address, file string
	check         ssh.HostKeyCallback
	verdict       error
}

func hostsFrom(o Options) (*hosts, error) {
	check, err := readHosts(o.KnownHosts)
	return &hosts{address: o.Address, file: o.KnownHosts, check: check}, err
}

// algorithms are those of the keys that are known: asked for others, a host
// shows one that is not there and seems to have changed. Nil: none is known.
func (h *hosts) algorithms() []string {
	var unlike *knownhosts.KeyError
	if !errors.As(h.check(h.address, &net.TCPAddr{}, nobody{}), &unlike) {
		return nil
	}
	var out []string
	for _, k := range unlike.Want {
		switch t := k.Key.Type(); t {
		case ssh.KeyAlgoRSA:
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// verify is the handshake's callback.
func (h *hosts) verify(address string, remote net.Addr, key ssh.PublicKey) error {
	err := h.check(address, remote, key)
	var unlike *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		h.verdict = &HostError{true, fmt.Sprintf("the host key of %s, %s, is revoked in %s line %d; nothing was sent", h.address, ssh.FingerprintSHA256(key), revoked.Revoked.Filename, revoked.Revoked.Line)}
	case errors.As(err, &unlike) && len(unlike.Want) > 0:
		h.verdict = changed(h.address, ssh.FingerprintSHA256(key), unlike.Want)
	case errors.As(err, &unlike):
		h.verdict = &HostError{false, fmt.Sprintf("the host key of %s is not known, and nothing was sent: it showed %s. If `ssh-keygen -lf` on the droplet says the same of /etc/ssh/ssh_host_*_key.pub, add this line to %s: %s",
			h.address, ssh.FingerprintSHA256(key), h.file, knownhosts.Line([]string{h.address}, key))}
	default:
		h.verdict = fmt.Errorf("check the host key of %s: %w", h.address, err)
	}
	return h.verdict
}

func changed(address, shown string, want []knownhosts.KnownKey) error {
	var known []string
	for _, k := range want {
		known = append(known, fmt.Sprintf("%s (%s line %d)", ssh.FingerprintSHA256(k.Key), k.Filename, k.Line))
	}
	return &HostError{true, fmt.Sprintf("THE HOST KEY OF %s HAS CHANGED, and nothing was sent: it showed %s, known is %s. If the droplet was rebuilt, replace the line by its new key; if not, somebody stands between",
		address, shown, strings.Join(known, ", "))}
}

// told replaces a handshake's error by the verdict on the host, if that is
// why it failed.
func (h *hosts) told(err error, known []string) error {
	if h.verdict != nil {
		return h.verdict
	}
	var none *ssh.AlgorithmNegotiationError
	if errors.As(err, &none) && len(known) > 0 && none.What == "host key" {
		return &HostError{true, fmt.Sprintf("THE HOST KEY OF %s HAS CHANGED, and nothing was sent: it has none of the kinds %s that %s knows of it. If the droplet was rebuilt, replace the lines by its new keys; if not, somebody stands between",
			h.address, strings.Join(known, ", "), h.file)}
	}
	return err
}

// nobody is a key that no host has.
type nobody struct{}

func (nobody) Type() string                        { return "nobody" }
func (nobody) Marshal() []byte                     { return []byte("nobody") }
func (nobody) Verify([]byte, *ssh.Signature) error { return errors.New("nobody signs") }
