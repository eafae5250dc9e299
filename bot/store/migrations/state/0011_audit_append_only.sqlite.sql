-- +goose Up
-- +goose StatementBegin
create trigger audit_no_update before update on audit
begin select raise(abort, 'the audit log is append-only'); end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_no_delete before delete on audit
begin select raise(abort, 'the audit log is append-only'); end;
-- +goose StatementEnd
-- An insert must continue the chain: "insert or replace" would delete
-- without firing the trigger above.
-- +goose StatementBegin
create trigger audit_in_order before insert on audit
when new.seq <> (select coalesce(max(seq), 0) + 1 from audit)
begin select raise(abort, 'the audit log is append-only'); end;
-- +goose StatementEnd

-- +goose Down
drop trigger audit_no_update;
drop trigger audit_no_delete;
drop trigger audit_in_order;
