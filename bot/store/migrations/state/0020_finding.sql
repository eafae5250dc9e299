-- +goose Up
-- body is the whole finding as JSON; the other columns are there to be
-- searched and to hold the rule that one subject has one live finding.
create table finding (
	id text primary key,
	subject text not null,
	droplet text not null,
	worker text not null,
	state text not null,
	live bigint not null,
	severity bigint not null,
	opened bigint not null,
	updated bigint not null,
	version bigint not null,
	body text not null
);
create unique index finding_live on finding (subject) where live = 1;
create index finding_updated on finding (updated);

-- +goose Down
drop table finding;
