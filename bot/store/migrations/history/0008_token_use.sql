-- +goose Up
-- The last use of each token. It changes with every push, so it stands with
-- the samples; ahead is in ms.
create table token_use (
	token text primary key,
	at bigint not null,
	ahead bigint not null
);

-- +goose Down
drop table token_use;
