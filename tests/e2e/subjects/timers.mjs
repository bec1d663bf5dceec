// Timers, immediates, microtasks, async iterators, garbage collection in between.
import { setTimeout as sleep, setInterval as every } from 'node:timers/promises';

const log = [];
setImmediate(() => log.push('immediate'));
process.nextTick(() => log.push('tick'));
Promise.resolve().then(() => log.push('microtask'));
setTimeout(() => log.push('timeout 0'), 0);
await Promise.all([5, 1, 3, 2, 4].map(async (ms) => { await sleep(ms); log.push(ms); }));
let ticks = 0;
for await (const _ of every(2)) if (++ticks === 5) break;
console.log(log.join(' '), performance.now());
let garbage = [];
for (let i = 0; i < 200; ++i) { garbage.push(new Array(1000).fill({ i })); if (i % 50 === 0) garbage = []; }
console.log(process.memoryUsage().heapUsed, process.hrtime());
const controller = new AbortController();
setTimeout(() => controller.abort(), 3);
await sleep(1000, null, { signal: controller.signal }).catch((e) => console.log(e.name));
process.exitCode = 6;
