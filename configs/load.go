package configs

import (
	"fmt"
	"os"
	"path/filepath"
)

// Getenv looks a variable up, as os.LookupEnv does.
type Getenv func(name string) (string, bool)

// Load reads and checks the file at path with the process's environment. The
// error is a Problems when the configuration is at fault.
func Load(path string) (Config, error) {
	return load(path, Read)
}

// LoadBeside is Load for commands that work beside a service, on its store or
// its address: the tokens of DigitalOcean and Slack need not be there.
func LoadBeside(path string) (Config, error) {
	return load(path, func(path string, text []byte, env Getenv) (Config, error) { return read(path, text, env, true) })
}

func load(path string, read func(string, []byte, Getenv) (Config, error)) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	return read(path, text, os.LookupEnv)
}

// Read checks the text of a configuration file, named path in problems, with
// the environment that env looks up.
func Read(path string, text []byte, env Getenv) (Config, error) {
	return read(path, text, env, false)
}

func read(path string, text []byte, env Getenv, beside bool) (Config, error) {
	c := defaults()
	c.Path = path
	d := &decoder{file: path, at: positions{}}
	d.decodeFile(text, &c)
	if d.unreadable {
		return Config{}, d.problems
	}
	d.lines(&c)
	v := &validator{decoder: d, c: &c, beside: beside}
	v.secrets(env)
	v.all()
	v.sources(env)
	v.alerts(env)
	if len(d.problems) > 0 {
		return Config{}, d.problems.sorted()
	}
	return c, nil
}

// lines notes where each policy stands: the audit log names it.
func (d *decoder) lines(c *Config) {
	for i := range c.Workers {
		if pos := d.at[fmt.Sprintf("workers[%d].auto", i)]; pos != nil {
			c.Workers[i].Auto.Line = fmt.Sprintf("%s:%d", filepath.Base(d.file), pos.Line)
		}
	}
}
