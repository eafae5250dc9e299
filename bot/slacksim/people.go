package slacksim

import "slices"

func (s *Sim) authTest(object) (object, *apiError) {
	return object{"url": "https://dropleak.slack.com/", "team": "Dropleak", "team_id": s.opts.Team,
		"user": s.opts.BotName, "user_id": "U0BOT", "bot_id": "B0BOT"}, nil
}

func (s *Sim) usersInfo(args object) (object, *apiError) {
	u, ok := s.users[str(args["user"])]
	if !ok {
		return nil, fail("user_not_found")
	}
	return object{"user": object{"id": u.ID, "team_id": u.Team, "name": u.Name, "deleted": u.Deleted,
		"real_name": u.RealName, "tz": u.TZ, "is_bot": u.Bot, "is_restricted": u.Guest,
		"is_ultra_restricted": u.Guest, "is_stranger": u.Stranger,
		"profile": object{"display_name": u.Name, "real_name": u.RealName}}}, nil
}

func (s *Sim) groupMembers(args object) (object, *apiError) {
	ids, ok := s.opts.Groups[str(args["usergroup"])]
	if !ok {
		return nil, fail("no_such_subteam")
	}
	return object{"users": ids}, nil
}

// SetGroup changes the members of a user group.
func (s *Sim) SetGroup(id string, members ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Groups[id] = members
}

// AddUser adds somebody, or changes them.
func (s *Sim) AddUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.Team == "" {
		u.Team = s.opts.Team
	}
	if u.TZ == "" {
		u.TZ = "Europe/Berlin"
	}
	s.users[u.ID] = &u
	s.bump()
}

func (s *Sim) channelInfo(args object) (object, *apiError) {
	c, ok := s.channels[str(args["channel"])]
	if !ok {
		return nil, fail("channel_not_found")
	}
	return object{"channel": object{"id": c.ID, "name": c.Name, "is_channel": true, "is_archived": c.Archived,
		"is_ext_shared": c.Shared, "is_member": c.has("U0BOT")}}, nil
}

func (c *Channel) has(user string) bool { return !slices.Contains(c.Absent, user) }

// writable is the channel, if the bot may write into it. The lock is held.
func (s *Sim) writable(id string) (*Channel, *apiError) {
	c, ok := s.channels[id]
	switch {
	case !ok:
		return nil, fail("channel_not_found")
	case c.Archived:
		return nil, fail("is_archived")
	case !c.has("U0BOT"):
		return nil, fail("not_in_channel")
	}
	return c, nil
}
