-- AlterTable
ALTER TABLE "GuestSession" ADD COLUMN "endedUpstream" BOOLEAN;
ALTER TABLE "GuestSession" ADD COLUMN "idempotencyKey" TEXT;
ALTER TABLE "GuestSession" ADD COLUMN "reconcileAt" DATETIME;
ALTER TABLE "GuestSession" ADD COLUMN "looks" INTEGER NOT NULL DEFAULT 0;

-- CreateTable
CREATE TABLE "IdempotencyKey" (
    "callerName" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "inputHmac" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "requestId" TEXT NOT NULL,
    "leaseOwner" TEXT NOT NULL,
    "leaseUntil" DATETIME NOT NULL,
    "expiresAt" DATETIME NOT NULL,
    "unsettledRequestId" TEXT,
    "eventSequence" INTEGER,
    "clientToken" TEXT,

    PRIMARY KEY ("callerName", "key")
);

-- CreateIndex
CREATE INDEX "IdempotencyKey_expiresAt_idx" ON "IdempotencyKey"("expiresAt");

-- CreateIndex
CREATE INDEX "GuestSession_reconcileAt_idx" ON "GuestSession"("reconcileAt");

-- What was left open by a version that could not look it up.
UPDATE "GuestSession" SET "reconcileAt" = "createdAt" WHERE "status" IN ('PENDING', 'UNKNOWN');
