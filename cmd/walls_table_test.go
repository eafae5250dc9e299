package cmd

// room is one package of the house: what it says of itself, and what it may know of the others.
type room struct {
	says     string   // the words that its package comment's first sentence must hold
	may      []string // packages of ours that its code, tests aside, may import; "*" is any
	bans     []ban
	testOnly bool // imported only by tests and the demo
}

// ban is an import that a room may not have, and why. It covers the path and everything below it.
type ban struct {
	path, why string
	testsToo  bool
}

const (
	pure    = "it is pure: the same series always give the same answer"
	ownType = "a simulator that shares a type with its client agrees with the client's mistakes"
)

// rooms is the house. A package that is not here does not belong to it.
var rooms = map[string]room{
	"detector": {says: "decides from series of measurements whether memory leaks, since when, how fast, how sure, and when it runs out",
		bans: []ban{{path: "net", why: pure}, {path: "os", why: pure}, {path: "database/sql", why: pure}, {path: "log", why: pure}}},
	"detector/synth": {says: "makes labelled series of every healthy and leaking shape",
		may: []string{"detector"}, testOnly: true},
	"detector/corpus": {says: "reads the labelled recordings that the detector is measured on",
		may: []string{"detector"}, testOnly: true},
	"detector/rivals": {says: "re-implements what others use today, to be measured beside",
		may: []string{"detector"}, testOnly: true},
	"detector/chart": {says: "draws a series and what the detector saw in it",
		may: []string{"detector"}},
	"detector/sample": {says: "the one record of a process's memory at a moment that agent, files and bot share",
		bans: []ban{{path: "os", why: "files come as readers"}, {path: "net", why: "it is carried, it does not travel"}}},
	"detector/formats": {says: "reads samples from what people already have",
		may: []string{"detector/sample"}, bans: []ban{{path: "net", why: "it reads files that are there"}}},
	"detector/procfs": {says: "finds Celery processes and reads their memory",
		may: []string{"detector/sample"}, bans: []ban{{path: "net", why: "it reads a tree of files"}, {path: "os/exec", why: "the agent starts no programs"}}},

	"doclient": {says: "speaks to DigitalOcean in our nouns"},
	"doclient/dosim": {says: "a DigitalOcean in memory", testOnly: true, bans: []ban{
		{module + "/doclient", ownType, true}, {"github.com/digitalocean/godo", ownType, false}}},

	"bot/order": {says: "a restart order and its result, as agent and service exchange them"},
	"bot/agent": {says: "the half on the droplet",
		may: []string{"detector/sample", "detector/procfs", "bot/order", "bot/agent/manager"}},
	"bot/agent/manager": {says: "restart", may: []string{"bot/order"}},
	"bot/hub": {says: "the service's half",
		may: []string{"detector/sample", "bot/order", "bot/history", "bot/audit"}},
	"bot/source": {says: "pulls samples from DigitalOcean, Prometheus, exporters, SSH, InfluxDB",
		may: []string{"bot/schedule", "detector/sample", "detector/procfs", "detector/formats", "bot/history", "bot/shell", "doclient"}},
	"bot/shell": {says: "runs a few fixed words on droplets over SSH",
		may: []string{"detector/procfs", "detector/sample"}, bans: []ban{{path: "os/exec", why: "what is run, is run at the other end"}}},
	"bot/history": {says: "keeps and serves series", may: []string{"detector", "detector/sample"}},
	"bot/finding": {says: "what we believe is wrong", may: []string{"detector"}},
	"bot/alert": {says: "calls those who are not looking at Slack", bans: []ban{
		{path: "database/sql", why: "the store keeps its outbox"}}},
	"bot/watch": {says: "series in, verdict, correlation of droplet and workers, finding out",
		may: []string{"bot/schedule", "detector", "bot/finding", "bot/history"}},
	"bot/workflow": {says: "runs of named steps that survive the process", bans: []ban{
		{path: "database/sql", why: "it knows no SQL: the store implements its journal"},
		{path: "net", why: "it knows no droplet: what a step does is handed to it"}}},
	"bot/schedule": {says: "when:", bans: []ban{{path: "database/sql", why: "the store keeps the next fire"}}},
	"bot/audit":    {says: "the append-only record of decisions and acts", bans: []ban{{path: "database/sql", why: "the store keeps it"}}},
	"bot/restart":  {says: "every way to restart behind one interface", may: []string{"bot/order", "bot/shell", "detector/procfs", "doclient"}},
	"bot/remedy": {says: "the recipe of a run", bans: []ban{{path: "database/sql", why: "the store keeps runs"}},
		may: []string{"bot/workflow", "bot/finding", "bot/restart", "bot/order", "bot/audit", "doclient", "detector"}},
	"bot/report": {says: "a finding in words, blocks and picture", may: []string{"detector", "bot/finding", "detector/chart"},
		bans: []ban{{path: "os", why: pure}, {path: "net", why: pure}, {path: "database/sql", why: pure}}},
	"bot/slackapp": {says: "Slack's wire"},
	"bot/slacksim": {says: "a Slack workspace in memory", testOnly: true, bans: []ban{
		{module + "/bot/slackapp", ownType, true}, {"github.com/slack-go/slack", ownType, false}}},
	"bot/chat": {says: "the conversation",
		may: []string{"bot/slackapp", "bot/report", "bot/finding", "bot/remedy", "bot/schedule", "bot/order", "bot/watch", "bot/workflow", "detector", "detector/chart"}}, // order: what a run knows of its worker
	"bot/store": {says: "on SQLite or PostgreSQL behind the small interfaces the others declare",
		may: []string{"bot/finding", "bot/workflow", "bot/history", "bot/schedule", "bot/audit", "bot/hub", "bot/order", "bot/alert"}},
	"bot/store/storetest": {says: "conformance", testOnly: true, may: []string{"*"}},
	"bot/testbed": {says: "starts the real programs that tests talk to, on loopback, and stops them by the pid it started",
		testOnly: true},
	"bot": {says: "the assembled service",
		may: []string{"bot/order", "bot/hub", "bot/source", "bot/shell", "bot/history", "bot/finding", "bot/watch", "bot/workflow", "bot/schedule",
			"bot/audit", "bot/alert", "bot/restart", "bot/remedy", "bot/report", "bot/slackapp", "bot/chat",
			"detector", "detector/sample", "detector/chart", "doclient"},
		bans: []ban{{path: "database/sql", why: "only cmd picks the store"}}},

	"configs": {says: "operator's files", may: []string{"bot", "bot/*", "doclient", "detector"}, bans: []ban{
		{module + "/bot/store", "only cmd picks the store", false}, {module + "/bot/agent", "the agent has flags only", false}}},
	"cmd":                {says: "holds the programs, and the tests that hold the walls of the house"},
	"cmd/dropleak":       {may: []string{"*"}},
	"cmd/dropleak/demo":  {says: "demo", may: []string{"*"}},
	"cmd/dropleak/chaos": {says: "kills the real service at random moments and audits what the world saw of it"},
	"cmd/dropleak-agent": {may: []string{"bot/agent", "bot/agent/manager", "bot/order", "detector/sample"}},
}

// awaited rooms are in the plan and not built yet; the list only shrinks.
var awaited = map[string]bool{}

// timeless rooms take the time as an argument, never wait, and throw no dice but their own seeded ones.
var timeless = []string{"detector", "detector/synth", "detector/chart", "detector/sample", "bot/report", "bot/order", "bot/finding"}

// weights are what a program must not carry, however it came in.
var weights = map[string][]ban{
	"cmd/dropleak-agent": {
		{path: "modernc.org/sqlite", why: "the agent spools to plain files; a database is a third of its size again"},
		{path: "github.com/jackc/pgx/v5", why: "the agent has no database"},
		{path: "github.com/digitalocean/godo", why: "no DigitalOcean token belongs on a droplet"},
		{path: "github.com/slack-go/slack", why: "no Slack token belongs on a droplet"},
		{path: "github.com/spf13/cobra", why: "flags and environment only"},
		{path: "github.com/goccy/go-yaml", why: "the agent has no configuration file"},
		{path: "gonum.org/v1", why: "the agent measures; the service decides and draws"},
		{path: module + "/detector/chart", why: "the agent measures; the service draws"},
		{path: "testing", why: "test code stays out of the programs"},
	},
	"cmd/dropleak": {
		{path: "testing", why: "test code stays out of the programs"},
		{path: "github.com/getkin/kin-openapi", why: "only tests validate against DigitalOcean's document"},
		{path: "github.com/chromedp/chromedp", why: "only tests drive a browser"},
		{path: "pgregory.net/rapid", why: "test code stays out of the programs"},
		{path: "github.com/rogpeppe/go-internal", why: "test code stays out of the programs"},
		{path: module + "/bot/testbed", why: "the demo needs no server but ours"},
		{path: module + "/bot/store/storetest", why: "test code stays out of the programs"},
	},
}
