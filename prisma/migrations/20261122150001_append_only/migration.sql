-- The audit trail and the event log refuse UPDATE and DELETE.
CREATE TRIGGER "AuditEntry_no_update" BEFORE UPDATE ON "AuditEntry" BEGIN SELECT RAISE(ABORT, 'AuditEntry is append-only'); END;
CREATE TRIGGER "AuditEntry_no_delete" BEFORE DELETE ON "AuditEntry" BEGIN SELECT RAISE(ABORT, 'AuditEntry is append-only'); END;
CREATE TRIGGER "SessionEvent_no_update" BEFORE UPDATE ON "SessionEvent" BEGIN SELECT RAISE(ABORT, 'SessionEvent is append-only'); END;
CREATE TRIGGER "SessionEvent_no_delete" BEFORE DELETE ON "SessionEvent" BEGIN SELECT RAISE(ABORT, 'SessionEvent is append-only'); END;
