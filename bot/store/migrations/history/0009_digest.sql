-- +goose Up
-- What was learnt of six hours of a droplet's samples. It can be made anew:
-- an empty body says that late samples made it untrue.
create table digest (
	droplet text not null,
	start bigint not null,
	version bigint not null,
	body bytea not null,
	primary key (droplet, start)
);

-- +goose Down
drop table digest;
