package shell

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// readKey reads a private key that only its owner may read.
func readKey(file string) (ssh.Signer, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s may be read by everybody (mode %04o): chmod 600 %s", file, info.Mode().Perm(), file)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(raw)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, fmt.Errorf("%s has a passphrase, which nobody is there to type: use agent_socket, or a key of dropleak's own without one", file)
	case err != nil:
		return nil, fmt.Errorf("%s is no private key: %w", file, err)
	}
	return key, nil
}

// keys are how we say who we are.
type keys struct {
	method ssh.AuthMethod
	shown  string // for people
	close  func()
}

func keysFrom(o Options) (keys, error) {
	if o.AgentSocket != "" {
		conn, err := net.DialTimeout("unix", o.AgentSocket, 5*time.Second)
		if err != nil {
			return keys{}, fmt.Errorf("reach ssh-agent: %w", err)
		}
		return keys{ssh.PublicKeysCallback(agent.NewClient(conn).Signers), "every key of the agent", func() { conn.Close() }}, nil
	}
	key, err := readKey(o.KeyFile)
	if err != nil {
		return keys{}, fmt.Errorf("read key: %w", err)
	}
	return keys{ssh.PublicKeys(key), "the key " + ssh.FingerprintSHA256(key.PublicKey()), func() {}}, nil
}

// refused says in our words that a host did not take our key. The library
// has no type for it.
func refused(o Options, k keys, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the host ended the login and does not say why; its own log does (journalctl -u ssh)", err)
	}
	if !strings.Contains(err.Error(), "unable to authenticate") {
		return err
	}
	return fmt.Errorf("%s refused %s for user %s: is its public half in that user's authorized_keys, and may the user log in?", o.Address, k.shown, o.User)
}
