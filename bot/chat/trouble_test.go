package chat_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/chat"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/watch"
)

// TestDeletedMessage: somebody deletes the finding's message. The next state
// stands in a new one, and the thread goes on there.
func TestDeletedMessage(t *testing.T) {
	for name, approved := range map[string]bool{"before the approval": false, "while the run is under way": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				f, m := d.opened("mail")
				if approved {
					d.press(anna, f.ID, report.ActionRestart)
				}
				if err := d.app.Delete(t.Context(), ops, m.TS); err != nil {
					t.Fatal(err)
				}
				if !approved {
					d.tell(watch.Worse, f.ID)
					d.press(anna, f.ID, report.ActionRestart)
				}
				d.rest(time.Hour)
				f, now := d.message(f.ID)
				if now.TS == m.TS || now.Deleted {
					t.Fatalf("the message is still the deleted one")
				}
				wantText(t, "the new message", now.PlainText(), "Memory freed, worker working")
				if len(d.sim.Thread(ops, now.TS)) == 0 {
					t.Error("the new message has no thread")
				}
				if n := len(d.sim.Messages(ops)); n != 1 {
					t.Errorf("%d messages in the channel", n)
				}
			})
		})
	}
}

// TestRefusedBlocks: a message steps down instead of being lost, and the
// buttons stay as long as anything can carry them.
func TestRefusedBlocks(t *testing.T) {
	for name, c := range map[string]struct {
		refuse  []string
		buttons bool
	}{
		"pictures":   {[]string{"image"}, true},
		"all blocks": {[]string{"image", "header", "section", "context", "actions"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				d.sim.Faults(func(x *slacksim.Faults) {
					for _, b := range c.refuse {
						x.RefuseBlocks[b] = true
					}
				})
				_, m := d.opened("mail")
				wantText(t, "the message", m.PlainText(), "mail on web-1", "11 h")
				if got := offers(m, report.ActionRestart); got != c.buttons {
					t.Errorf("it offers %v", actions(m))
				}
			})
		})
	}
}

// TestPictureFails: the words go without it.
func TestPictureFails(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.sim.Faults(func(x *slacksim.Faults) { x.FilesNeverReady = true })
		f, m := d.opened("mail")
		wantText(t, "the message", m.PlainText(), "mail on web-1", "Snapshot & restart")
		if f.Picture != "" {
			t.Error("it shows a picture that is not there")
		}
		d.sim.Faults(func(x *slacksim.Faults) { x.FilesNeverReady = false })
		d.tell(watch.Seen, f.ID)
		if d.finding(f.ID).Picture == "" {
			t.Error("the picture was not tried again")
		}
	})
}

// TestCrashBeforeWork: the process ends between keeping a click and acting on
// it. Whoever comes next acts on it, once.
func TestCrashBeforeWork(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, m := d.opened("mail")
		in := slackapp.Envelope{ID: "trigger-1", At: time.Now(), Click: &slackapp.Click{
			Who: slackapp.Who{Team: "T0DROPLEAK", User: anna}, Channel: ops, MessageTS: m.TS,
			ActionID: report.ActionRestart, Value: d.run().Run, TriggerID: "trigger-1"}}
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		// Another process kept it, took it, and died.
		if _, err := d.store.SaveEnvelope(t.Context(), in.ID, raw, time.Now()); err != nil {
			t.Fatal(err)
		}
		if id, _, _, err := d.store.TakeEnvelope(t.Context(), "dead", time.Now(), 30*time.Second); id != in.ID || err != nil {
			t.Fatalf("took %q, %v", id, err)
		}
		d.rest(20 * time.Second)
		if d.run().Settled != nil {
			t.Fatal("it was worked on under somebody's lease")
		}
		d.rest(20 * time.Second)
		if v := d.run(); v.Settled == nil || v.Settled.By != anna {
			t.Fatalf("after the lease ran out the run is settled by %+v", v.Settled)
		}
		_, m = d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "Approved by <@U0ANNA>")
	})
}

// TestPoison: an envelope on which the process ends each time is given up, the
// sender is told, and the others are answered.
func TestPoison(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.rest(time.Second) // the inbox has been looked into
		in := slackapp.Envelope{ID: "poison", Click: &slackapp.Click{Who: slackapp.Who{Team: "T0DROPLEAK", User: anna},
			Channel: ops, ActionID: report.ActionDetails, Value: "x", TriggerID: "t"}}
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-time.Hour)
		if _, err := d.store.SaveEnvelope(t.Context(), in.ID, raw, at); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if id, _, _, err := d.store.TakeEnvelope(t.Context(), "dying", at, time.Second); id == "" || err != nil {
				t.Fatalf("took %q, %v", id, err)
			}
			at = at.Add(time.Minute)
		}
		d.rest(5 * time.Second)
		wantText(t, "the sender", d.told(anna), "nothing more is tried")
		wantText(t, "the next answer", d.say(ben, "/leaks help").PlainText(), "/leaks report")
	})
}

// TestAnswerThatNeverComes: whoever asked is told so, though all the time that
// an answer may take is gone.
func TestAnswerThatNeverComes(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.far.hangs = true
		if err := d.sim.Command(carla, ops, "/leaks worker mail"); err != nil {
			t.Fatal(err)
		}
		d.rest(5 * time.Minute)
		wantText(t, "who asked", d.told(carla), "nothing more is tried")
	})
}

// TestSlackTrouble: errors that pass are tried again and nothing is lost.
func TestSlackTrouble(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		d.sim.Faults(func(x *slacksim.Faults) {
			x.ServerError["chat.update"], x.RateLimit["chat.update"], x.ServerError["users.info"] = 2, 2, 1
		})
		d.press(anna, f.ID, report.ActionRestart)
		d.rest(2 * time.Hour)
		_, m := d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "Memory freed, worker working")
	})
}

// tongueless is Slack for a process that must not write into the channel.
type tongueless struct {
	chat.Slack
	t *testing.T
}

func (s tongueless) Post(context.Context, string, slackapp.Message) (string, error) {
	s.t.Error("it posts")
	return "", errors.New("no")
}

func (s tongueless) Update(context.Context, string, string, slackapp.Message) error {
	s.t.Error("it edits and waits")
	return errors.New("no")
}

func (s tongueless) UpdateLater(string, string, slackapp.Message) error {
	s.t.Error("it edits")
	return errors.New("no")
}

// TestOnlyTheOwnerWrites: the message in which a run stands is written by the
// run's owner. Another process that has news for it asks the owner; it would
// overwrite newer words when Slack keeps it waiting.
func TestOnlyTheOwnerWrites(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, m := d.opened("mail")
		d.wire = func(s chat.Slack) chat.Slack { return tongueless{s, t} }
		other := d.newChat("b")
		for name, news := range map[string]func() error{
			"a scan": func() error {
				return other.FindingChanged(t.Context(), watch.Change{What: watch.Seen, Finding: d.finding(f.ID)})
			},
			"worse growth": func() error {
				return other.FindingChanged(t.Context(), watch.Change{What: watch.Worse, Finding: d.finding(f.ID)})
			},
			"its own start": func() error { return other.Recall(t.Context()) },
		} {
			before := len(d.sim.Calls("chat.update"))
			if err := news(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			d.rest(10 * time.Second)
			if len(d.sim.Calls("chat.update")) == before {
				t.Errorf("after %s the owner was not asked", name)
			}
		}
		if _, now := d.message(f.ID); now.TS != m.TS || !offers(now, report.ActionRestart) {
			t.Errorf("the message moved or lost its question: %v", actions(now))
		}
	})
}

// TestAnotherProcess: what one replica proposed, another one shows.
func TestAnotherProcess(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		d.chat = d.newChat("b") // the first goes on working off the inbox
		if err := d.chat.Recall(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.tell(watch.Seen, f.ID)
		_, m := d.message(f.ID)
		if !offers(m, report.ActionRestart) {
			t.Errorf("the other process shows %v", actions(m))
		}
		d.press(anna, f.ID, report.ActionRestart)
		d.rest(time.Hour)
		d.tell(watch.Seen, f.ID)
		_, m = d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "Memory freed")
	})
}
