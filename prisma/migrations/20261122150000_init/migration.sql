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
    "sequence" INTEGER NOT NULL PRIMARY KEY,
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
    "sequence" INTEGER NOT NULL PRIMARY KEY,
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
CREATE INDEX "GuestSession_guestId_placeHeldUntil_idx" ON "GuestSession"("guestId", "placeHeldUntil");

-- CreateIndex
CREATE INDEX "GuestSession_guestId_id_idx" ON "GuestSession"("guestId", "id");

-- CreateIndex
CREATE INDEX "GuestSession_crmId_id_idx" ON "GuestSession"("crmId", "id");

-- CreateIndex
CREATE INDEX "GuestSession_status_id_idx" ON "GuestSession"("status", "id");

-- CreateIndex
CREATE INDEX "GuestSession_status_expiresAt_idx" ON "GuestSession"("status", "expiresAt");

-- CreateIndex
CREATE INDEX "GuestSession_sessionId_idx" ON "GuestSession"("sessionId");

-- CreateIndex
CREATE INDEX "AuditEntry_timestamp_idx" ON "AuditEntry"("timestamp");

-- CreateIndex
CREATE INDEX "AuditEntry_guestId_timestamp_idx" ON "AuditEntry"("guestId", "timestamp");

-- CreateIndex
CREATE INDEX "AuditEntry_requestId_timestamp_idx" ON "AuditEntry"("requestId", "timestamp");

-- CreateIndex
CREATE INDEX "AuditEntry_kind_status_timestamp_idx" ON "AuditEntry"("kind", "status", "timestamp");

-- CreateIndex
CREATE INDEX "SessionEvent_type_idx" ON "SessionEvent"("type");

-- CreateIndex
CREATE INDEX "SessionEvent_guestId_idx" ON "SessionEvent"("guestId");

-- CreateIndex
CREATE INDEX "SessionEvent_requestId_idx" ON "SessionEvent"("requestId");

-- CreateIndex
CREATE INDEX "WebhookDelivery_status_nextAttemptAt_idx" ON "WebhookDelivery"("status", "nextAttemptAt");

