// worker_threads that wait on one another with Atomics.wait, and pass messages.
import { Worker, isMainThread, parentPort, workerData, threadId } from 'node:worker_threads';

const kWorkers = 3, kRounds = 10;
if (isMainThread) {
  const shared = new SharedArrayBuffer(1024);
  const view = new Int32Array(shared);
  const workers = [...Array(kWorkers).keys()].map((id) => new Worker(new URL(import.meta.url), { workerData: { shared, id } }));
  const messages = [];
  await Promise.all(workers.map((w) => new Promise((resolve, reject) => {
    w.on('message', (m) => messages.push(m));
    w.on('exit', resolve);
    w.on('error', reject);
  })));
  console.log(messages.join(' '));
  console.log('turns', view[0], 'log', view.slice(8, 8 + kWorkers * kRounds).join(''));
  console.log(Math.random(), performance.now(), Date.now());
} else {
  const view = new Int32Array(workerData.shared);
  for (let round = 0; round < kRounds; ++round) {
    for (;;) {
      const turn = Atomics.load(view, 0);
      if (turn % kWorkers === workerData.id) break;
      Atomics.wait(view, 0, turn, 1000);
    }
    view[8 + view[1]++] = workerData.id;
    parentPort.postMessage(`${threadId}:${round}`);
    Atomics.add(view, 0, 1);
    Atomics.notify(view, 0);
  }
}
