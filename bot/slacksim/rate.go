package slacksim

import (
	"math"
	"time"
)

// tiers are Slack's published rates, in calls a minute, of each method modelled.
var tiers = map[string]int{
	"auth.test": 600, "chat.postMessage": 400, "chat.postEphemeral": 100, "chat.update": 50, "chat.delete": 50,
	"views.open": 100, "views.push": 100, "views.update": 100, "views.publish": 100,
	"users.info": 100, "conversations.info": 50, "usergroups.users.list": 20,
	"files.getUploadURLExternal": 100, "files.completeUploadExternal": 100, "files.info": 100, "files.delete": 50,
	"chat.scheduleMessage": 50, "chat.deleteScheduledMessage": 50,
	"apps.connections.open": 50,
}

// channelBurst is how many posts to one channel go through above one a second.
const channelBurst = 3

// limited counts a call and tells for how many seconds to stay away, 0 for none.
// The lock is held.
func (s *Sim) limited(method, channel string) int {
	if take(s.faults.RateLimit, method) {
		return int(max(1, math.Ceil(s.faults.RetryAfter.Seconds())))
	}
	if s.chance(25) && method != "apps.connections.open" && method != "views.open" {
		return 1
	}
	if wait := s.window(method, tiers[method], time.Minute); wait > 0 {
		return wait
	}
	if method == "chat.postMessage" {
		return s.window(method+" "+channel, channelBurst+1, (channelBurst+1)*time.Second)
	}
	return 0
}

// window lets n calls through in any span of that length.
func (s *Sim) window(key string, n int, span time.Duration) int {
	now := time.Now()
	calls := s.calls[key]
	for len(calls) > 0 && now.Sub(calls[0]) >= span {
		calls = calls[1:]
	}
	if len(calls) >= n {
		s.calls[key] = calls
		return int(math.Ceil(span.Seconds() - now.Sub(calls[0]).Seconds()))
	}
	s.calls[key] = append(calls, now)
	return 0
}
