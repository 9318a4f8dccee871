-- CreateTable
CREATE TABLE "WebhookEndpoint" (
    "id" INTEGER NOT NULL PRIMARY KEY,
    "urlHash" TEXT NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'ACTIVE',
    "failingSince" DATETIME,
    "lastFailureAt" DATETIME,
    "warnedPercent" INTEGER NOT NULL DEFAULT 0,
    "disabledAt" DATETIME,
    "disabledReason" TEXT,
    "reviveSince" DATETIME
);

-- CreateTable
CREATE TABLE "SessionEventLog" (
    "id" INTEGER NOT NULL PRIMARY KEY,
    "firstSequence" INTEGER NOT NULL
);

-- RedefineTables
PRAGMA defer_foreign_keys=ON;
PRAGMA foreign_keys=OFF;
CREATE TABLE "new_WebhookDelivery" (
    "sequence" INTEGER NOT NULL PRIMARY KEY,
    "id" TEXT NOT NULL,
    "requestId" TEXT NOT NULL,
    "eventType" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'PENDING',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "createdAt" DATETIME NOT NULL,
    "nextAttemptAt" DATETIME,
    "leaseToken" TEXT,
    "concludedAt" DATETIME,
    "lastError" TEXT
);
-- The sequence is that of the event. What is concluded is due no more.
INSERT INTO "new_WebhookDelivery" ("sequence", "attempts", "failures", "body", "createdAt", "eventType", "id", "lastError", "leaseToken", "nextAttemptAt", "concludedAt", "requestId", "status")
  SELECT e."sequence", d."attempts", d."attempts", d."body", d."createdAt", d."eventType", d."id", d."lastError", d."leaseToken",
    iif(d."status" = 'PENDING', d."nextAttemptAt", NULL), iif(d."status" = 'PENDING', NULL, coalesce(d."deliveredAt", d."nextAttemptAt")), d."requestId", d."status"
  FROM "WebhookDelivery" d JOIN "SessionEvent" e ON e."requestId" = d."requestId" AND e."id" = d."id";
DROP TABLE "WebhookDelivery";
ALTER TABLE "new_WebhookDelivery" RENAME TO "WebhookDelivery";
CREATE UNIQUE INDEX "WebhookDelivery_id_key" ON "WebhookDelivery"("id");
CREATE INDEX "WebhookDelivery_nextAttemptAt_idx" ON "WebhookDelivery"("nextAttemptAt");
CREATE INDEX "WebhookDelivery_requestId_idx" ON "WebhookDelivery"("requestId");
CREATE INDEX "WebhookDelivery_eventType_status_createdAt_idx" ON "WebhookDelivery"("eventType", "status", "createdAt");
PRAGMA foreign_keys=ON;
PRAGMA defer_foreign_keys=OFF;

-- The log begins with its first event. What is before its beginning may be removed, nothing else.
INSERT INTO "SessionEventLog" ("id", "firstSequence") VALUES (1, 1);
DROP TRIGGER "SessionEvent_no_delete";
CREATE TRIGGER "SessionEvent_no_delete" BEFORE DELETE ON "SessionEvent"
WHEN OLD."sequence" >= coalesce((SELECT "firstSequence" FROM "SessionEventLog"), 0) BEGIN SELECT RAISE(ABORT, 'SessionEvent is append-only'); END;
