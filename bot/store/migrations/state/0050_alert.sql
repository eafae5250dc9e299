-- +goose Up
-- What each endpoint is to know of each alert, and knows; body is JSON, name
-- the alert's key, seq grows with every change.
create table alert_due (
	endpoint text not null,
	name     text not null,
	seq      bigint not null,
	body     text not null,
	primary key (endpoint, name)
);

-- +goose Down
drop table alert_due;
