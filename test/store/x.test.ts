import { expect, test } from 'vitest';
import { openBooks, someAudit, someEvent, commitsInWal } from './ledger.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { EventReader } from '../../src/store/event-reader.js';
test('surr', async () => {
  const b = await openBooks();
  await b.writer.submit((t) => t.appendAudit(someAudit({ reason: 'a\ud83d' })));
  console.log(await new AuditReader(b.prisma).verify(), b.outside.all('select reason from AuditEntry'));
});
test('interleave', async () => {
  const b = await openBooks();
  const r = new EventReader(b.prisma);
  let stop = false;
  let commits = 0;
  const loop = () => { if (stop) return; commits++; void b.writer.submit((t) => { t.appendEvent(someEvent({type:'SESSION_REQUESTED'})); t.appendEvent(someEvent({type:'SESSION_INITIATED'})); t.appendEvent(someEvent({type:'SESSION_FAILED'})); }).then(loop); };
  loop();
  let gaps = 0;
  for (let i = 0; i < 300; i++) {
    const c0 = commits;
    const after = b.writer.eventSequence;
    await new Promise(setImmediate);
    const e = await r.eventsAfter(after, { types: ['SESSION_REQUESTED','SESSION_INITIATED','SESSION_FAILED'] }, 1000);
    if (i < 3) console.log(i, commits - c0, e.length);
    for (let k = 1; k < e.length; k++) if (e[k]!.sequence !== e[k-1]!.sequence + 1) { gaps++; if (gaps<3) console.log(i, e.map(x=>x.sequence)); break; }
    if (e.length && e[0]!.sequence !== after+1) gaps++;
  }
  stop = true;
  console.log('gaps', gaps, commits, commitsInWal(b.path));
});
