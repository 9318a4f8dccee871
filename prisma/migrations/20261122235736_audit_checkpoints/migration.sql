-- CreateTable
CREATE TABLE "AuditCheckpoint" (
    "sequence" INTEGER NOT NULL PRIMARY KEY,
    "hash" TEXT NOT NULL,
    "timestamp" DATETIME NOT NULL,
    "keyId" TEXT NOT NULL,
    "signature" TEXT NOT NULL
);

-- Checkpoints refuse UPDATE and DELETE, as the trail does that they sign.
CREATE TRIGGER "AuditCheckpoint_no_update" BEFORE UPDATE ON "AuditCheckpoint" BEGIN SELECT RAISE(ABORT, 'AuditCheckpoint is append-only'); END;
CREATE TRIGGER "AuditCheckpoint_no_delete" BEFORE DELETE ON "AuditCheckpoint" BEGIN SELECT RAISE(ABORT, 'AuditCheckpoint is append-only'); END;
