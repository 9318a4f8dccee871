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
WHEN OLD."sequence" >= coalesce((SELECT "firstSequence" FROM "AuditTrail"), 0) BEGIN SELECT RAISE(ABORT, 'AuditEntry is append-only'); END;

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
