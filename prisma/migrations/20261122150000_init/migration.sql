-- CreateTable
CREATE TABLE "GuestSession" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "callerName" TEXT NOT NULL,
    "guestId" TEXT NOT NULL,
    "crmId" TEXT,
    "channel" TEXT NOT NULL,
    "priority" TEXT NOT NULL,
    "queueId" TEXT NOT NULL,
    "languagePreference" TEXT NOT NULL,
    "fingerprintHmac" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "createdAt" DATETIME NOT NULL,
    "placeHeldUntil" DATETIME NOT NULL,
    "sessionId" TEXT,
    "expiresAt" DATETIME,
    "endedAt" DATETIME,
    "durationMs" REAL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "fraudScore" INTEGER,
    "failureCode" TEXT,
    "crmSync" TEXT NOT NULL DEFAULT 'DISABLED'
);

-- CreateTable
CREATE TABLE "AuditEntry" (
    "sequence" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "id" TEXT NOT NULL,
    "timestamp" DATETIME NOT NULL,
    "requestId" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "reason" TEXT,
    "errorCode" TEXT,
    "guestId" TEXT,
    "sessionId" TEXT,
    "actor" TEXT NOT NULL,
    "durationMs" REAL,
    "fraudScore" INTEGER,
    "attempts" INTEGER,
    "capacityCheck" TEXT,
    "crmSynced" BOOLEAN,
    "previousHash" TEXT NOT NULL,
    "hash" TEXT NOT NULL
);

-- CreateTable
CREATE TABLE "SessionEvent" (
    "sequence" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "id" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "occurredAt" DATETIME NOT NULL,
    "requestId" TEXT NOT NULL,
    "guestId" TEXT,
    "crmId" TEXT,
    "sessionId" TEXT,
    "channel" TEXT,
    "status" TEXT,
    "reason" TEXT,
    "expiresAt" DATETIME
);

-- CreateTable
CREATE TABLE "WebhookDelivery" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "requestId" TEXT NOT NULL,
    "eventType" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'PENDING',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "createdAt" DATETIME NOT NULL,
    "nextAttemptAt" DATETIME NOT NULL,
    "leaseToken" TEXT,
    "deliveredAt" DATETIME,
    "lastError" TEXT
);

-- CreateTable
CREATE TABLE "WebhookAttempt" (
    "deliveryId" TEXT NOT NULL,
    "number" INTEGER NOT NULL,
    "startedAt" DATETIME NOT NULL,
    "durationMs" REAL NOT NULL,
    "statusCode" INTEGER,
    "error" TEXT,

    PRIMARY KEY ("deliveryId", "number"),
    CONSTRAINT "WebhookAttempt_deliveryId_fkey" FOREIGN KEY ("deliveryId") REFERENCES "WebhookDelivery" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

-- CreateTable
CREATE TABLE "MetricBucket" (
    "minute" DATETIME NOT NULL PRIMARY KEY,
    "buckets" TEXT NOT NULL
);

-- CreateIndex
CREATE INDEX "GuestSession_guestId_status_placeHeldUntil_idx" ON "GuestSession"("guestId", "status", "placeHeldUntil");

-- CreateIndex
CREATE INDEX "GuestSession_createdAt_id_idx" ON "GuestSession"("createdAt", "id");

-- CreateIndex
CREATE INDEX "GuestSession_guestId_createdAt_id_idx" ON "GuestSession"("guestId", "createdAt", "id");

-- CreateIndex
CREATE INDEX "GuestSession_status_createdAt_id_idx" ON "GuestSession"("status", "createdAt", "id");

-- CreateIndex
CREATE INDEX "GuestSession_crmId_createdAt_id_idx" ON "GuestSession"("crmId", "createdAt", "id");

-- CreateIndex
CREATE INDEX "GuestSession_status_expiresAt_idx" ON "GuestSession"("status", "expiresAt");

-- CreateIndex
CREATE INDEX "GuestSession_sessionId_idx" ON "GuestSession"("sessionId");

-- CreateIndex
CREATE UNIQUE INDEX "AuditEntry_id_key" ON "AuditEntry"("id");

-- CreateIndex
CREATE UNIQUE INDEX "AuditEntry_hash_key" ON "AuditEntry"("hash");

-- CreateIndex
CREATE INDEX "AuditEntry_timestamp_sequence_idx" ON "AuditEntry"("timestamp", "sequence");

-- CreateIndex
CREATE INDEX "AuditEntry_guestId_timestamp_sequence_idx" ON "AuditEntry"("guestId", "timestamp", "sequence");

-- CreateIndex
CREATE INDEX "AuditEntry_requestId_timestamp_sequence_idx" ON "AuditEntry"("requestId", "timestamp", "sequence");

-- CreateIndex
CREATE INDEX "AuditEntry_status_timestamp_sequence_idx" ON "AuditEntry"("status", "timestamp", "sequence");

-- CreateIndex
CREATE INDEX "AuditEntry_kind_status_timestamp_sequence_idx" ON "AuditEntry"("kind", "status", "timestamp", "sequence");

-- CreateIndex
CREATE INDEX "AuditEntry_kind_timestamp_sequence_idx" ON "AuditEntry"("kind", "timestamp", "sequence");

-- CreateIndex
CREATE UNIQUE INDEX "SessionEvent_id_key" ON "SessionEvent"("id");

-- CreateIndex
CREATE INDEX "SessionEvent_type_sequence_idx" ON "SessionEvent"("type", "sequence");

-- CreateIndex
CREATE INDEX "SessionEvent_guestId_sequence_idx" ON "SessionEvent"("guestId", "sequence");

-- CreateIndex
CREATE INDEX "SessionEvent_requestId_sequence_idx" ON "SessionEvent"("requestId", "sequence");

-- CreateIndex
CREATE INDEX "WebhookDelivery_status_nextAttemptAt_id_idx" ON "WebhookDelivery"("status", "nextAttemptAt", "id");

-- CreateIndex
CREATE INDEX "WebhookDelivery_requestId_idx" ON "WebhookDelivery"("requestId");
