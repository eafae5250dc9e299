// Package shell runs a few fixed words on droplets over SSH: host keys
// enforced, one kept connection each, and the script at the other end.
//
// A [Link] is the connection to one droplet. It is made when it is first
// needed, kept alive, made anew after it broke, and after a failure not before
// a while has passed: whoever is refused again and again is locked out.
//
// It refuses a host whose key is not known or is another than it was, words
// that a shell could understand in another way, and answers without an end.
package shell

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Script is the far end, a POSIX shell program. Over a connection that is not
// bound to a forced command it is sent along with the words.
//
//go:embed dropleak-ssh
var Script string

// Options say how one droplet is reached.
type Options struct {
	Address     string // HOST:PORT
	User        string
	KeyFile     string        // private key in OpenSSH's or PEM form, without a passphrase; read at each dial
	AgentSocket string        // of an ssh-agent, in the key file's place
	KnownHosts  string        // file; read at each dial
	Timeout     time.Duration // of a dial, and of words and their answer; default 20 s
	KeepAlive   time.Duration // between two signs of life; default 15 s
	MaxAnswer   int64         // bytes; default 8 MiB
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	if o.KeepAlive <= 0 {
		o.KeepAlive = 15 * time.Second
	}
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = 8 << 20
	}
	return o
}

// Check reports every file that could not be used, by the name of its option:
// key_file, known_hosts.
func (o Options) Check() map[string]error {
	out := map[string]error{}
	if o.KeyFile != "" {
		if _, err := readKey(o.KeyFile); err != nil {
			out["key_file"] = err
		}
	}
	if _, err := readHosts(o.KnownHosts); err != nil {
		out["known_hosts"] = err
	}
	return out
}

// Unsent is an error that says for certain that the words were not run.
type Unsent struct{ Err error }

// Error implements error.
func (u *Unsent) Error() string { return u.Err.Error() }

// Unwrap returns the cause.
func (u *Unsent) Unwrap() error { return u.Err }

// The errors that an answer is refused with.
var (
	ErrTooLarge = errors.New("the answer is too large")
	ErrCut      = errors.New("the answer has no end: the connection broke, or the script was stopped")
)

// plain is a word that every shell takes as it stands.
var plain = regexp.MustCompile(`^[A-Za-z0-9_.:@/-]{1,255}$`)

// command is what is asked for. A forced command is told it and keeps only
// the words; elsewhere it reads the script from its standard input.
func command(words []string) (string, error) {
	for _, w := range words {
		if !plain.MatchString(w) || strings.Contains(w, "..") {
			return "", fmt.Errorf("%q has letters that are not sent to a shell", w)
		}
	}
	return "sh -s -- " + strings.Join(words, " "), nil
}
