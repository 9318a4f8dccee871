-- AlterTable
ALTER TABLE "GuestSession" ADD COLUMN "callerRole" TEXT;
ALTER TABLE "GuestSession" ADD COLUMN "personal" TEXT;

-- AlterTable
ALTER TABLE "SessionEvent" ADD COLUMN "personal" TEXT;

-- AlterTable
ALTER TABLE "WebhookDelivery" ADD COLUMN "guestId" TEXT;

-- AlterTable: what is there already is of version 1.
ALTER TABLE "AuditEntry" ADD COLUMN "version" INTEGER NOT NULL DEFAULT 1;
ALTER TABLE "AuditEntry" ADD COLUMN "actorRole" TEXT;
ALTER TABLE "AuditEntry" ADD COLUMN "personal" TEXT;
ALTER TABLE "AuditEntry" ADD COLUMN "sourceAddress" TEXT;

-- CreateTable
CREATE TABLE "AuditTrail" (
    "id" INTEGER NOT NULL PRIMARY KEY,
    "firstSequence" INTEGER NOT NULL
);

-- CreateTable
CREATE TABLE "GuestKey" (
    "id" INTEGER NOT NULL PRIMARY KEY,
    "guestHmac" TEXT,
    "wrapped" TEXT,
    "erasedAt" DATETIME
);

-- CreateTable
CREATE TABLE "Keyring" (
    "id" INTEGER NOT NULL PRIMARY KEY,
    "indexKey" TEXT NOT NULL,
    "state" TEXT NOT NULL
);

-- CreateIndex
CREATE UNIQUE INDEX "GuestKey_guestHmac_key" ON "GuestKey"("guestHmac");

-- The trail begins with its first entry. What is before its beginning may be removed, nothing else.
INSERT INTO "AuditTrail" ("id", "firstSequence") VALUES (1, 1);
DROP TRIGGER "AuditEntry_no_delete";
CREATE TRIGGER "AuditEntry_no_delete" BEFORE DELETE ON "AuditEntry"
WHEN OLD."sequence" >= coalesce((SELECT "firstSequence" FROM "AuditTrail" WHERE "id" = 1), 0) BEGIN SELECT RAISE(ABORT, 'AuditEntry is append-only'); END;

-- It begins later by an archive alone: what vouches for that has to be there first.
CREATE TRIGGER "AuditTrail_no_insert" BEFORE INSERT ON "AuditTrail" BEGIN SELECT RAISE(ABORT, 'AuditTrail has one row'); END;
CREATE TRIGGER "AuditTrail_no_delete" BEFORE DELETE ON "AuditTrail" BEGIN SELECT RAISE(ABORT, 'AuditTrail has one row'); END;
CREATE TRIGGER "AuditTrail_no_update" BEFORE UPDATE ON "AuditTrail"
WHEN NOT (
  NEW."id" IS OLD."id" AND NEW."firstSequence" > OLD."firstSequence"
  AND EXISTS (SELECT 1 FROM "AuditCheckpoint" WHERE "sequence" = NEW."firstSequence" - 1)
  AND EXISTS (
    SELECT 1 FROM "AuditEntry" WHERE "kind" = 'TRAIL_ARCHIVED' AND "sequence" >= NEW."firstSequence"
      AND "reason" GLOB 'entries 1 to ' || (NEW."firstSequence" - 1) || ' were archived: *'
  )
) BEGIN SELECT RAISE(ABORT, 'AuditTrail is moved by an archive alone'); END;

-- INSERT OR REPLACE deletes without a word to the triggers that refuse DELETE, unless the connection asks for it.
CREATE TRIGGER "AuditEntry_no_replace" BEFORE INSERT ON "AuditEntry"
WHEN EXISTS (SELECT 1 FROM "AuditEntry" WHERE "sequence" = NEW."sequence") BEGIN SELECT RAISE(ABORT, 'AuditEntry is append-only'); END;
CREATE TRIGGER "AuditCheckpoint_no_replace" BEFORE INSERT ON "AuditCheckpoint"
WHEN EXISTS (SELECT 1 FROM "AuditCheckpoint" WHERE "sequence" = NEW."sequence") BEGIN SELECT RAISE(ABORT, 'AuditCheckpoint is append-only'); END;
CREATE TRIGGER "SessionEvent_no_replace" BEFORE INSERT ON "SessionEvent"
WHEN EXISTS (SELECT 1 FROM "SessionEvent" WHERE "sequence" = NEW."sequence") BEGIN SELECT RAISE(ABORT, 'SessionEvent is append-only'); END;

-- Whom an event is about was to be sealed once, and may be forgotten; nothing else of it changes.
DROP TRIGGER "SessionEvent_no_update";
CREATE TRIGGER "SessionEvent_no_update" BEFORE UPDATE ON "SessionEvent"
WHEN NOT (
  OLD."guestId" IS NOT NULL
  AND ((OLD."personal" IS NULL AND OLD."guestId" NOT GLOB 'gk_*') OR (NEW."personal" IS NULL AND NEW."guestId" IS OLD."guestId"))
  AND NEW."crmId" IS NULL AND NEW."sessionId" IS NULL AND NEW."reason" IS NULL
  AND NEW."sequence" IS OLD."sequence" AND NEW."id" IS OLD."id" AND NEW."type" IS OLD."type" AND NEW."occurredAt" IS OLD."occurredAt"
  AND NEW."requestId" IS OLD."requestId" AND NEW."channel" IS OLD."channel" AND NEW."status" IS OLD."status" AND NEW."expiresAt" IS OLD."expiresAt"
) BEGIN SELECT RAISE(ABORT, 'SessionEvent is append-only'); END;
