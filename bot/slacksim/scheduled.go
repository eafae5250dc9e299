package slacksim

import (
	"strconv"
	"time"
)

// Slack takes messages for between a moment and 120 days ahead.
const furthest = 120 * 24 * time.Hour

func (s *Sim) scheduleMessage(args object) (object, *apiError) {
	c, err := s.writable(str(args["channel"]))
	if err != nil {
		return nil, err
	}
	at, bad := strconv.ParseInt(str(args["post_at"]), 10, 64)
	ahead := time.Until(time.Unix(at, 0))
	switch {
	case bad != nil:
		return nil, fail("invalid_time")
	case ahead <= 0:
		return nil, fail("time_in_past")
	case ahead > furthest:
		return nil, fail("time_too_far")
	}
	if err := s.content(&Message{}, args, 40000, "message"); err != nil {
		return nil, err
	}
	id := s.newID("Q")
	s.scheduled[id] = c.ID
	return object{"channel": c.ID, "scheduled_message_id": id, "post_at": at}, nil
}

func (s *Sim) unscheduleMessage(args object) (object, *apiError) {
	id := str(args["scheduled_message_id"])
	if s.scheduled[id] == "" || s.scheduled[id] != str(args["channel"]) {
		return nil, fail("invalid_scheduled_message_id")
	}
	delete(s.scheduled, id)
	return object{}, nil
}

// Scheduled counts the messages that wait for their time.
func (s *Sim) Scheduled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.scheduled)
}
