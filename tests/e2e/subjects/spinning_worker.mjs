// A worker spins on a SharedArrayBuffer until the main thread sets it; then the other way round.
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

if (isMainThread) {
  const view = new Int32Array(new SharedArrayBuffer(16));
  const worker = new Worker(new URL(import.meta.url), { workerData: view });
  await new Promise((resolve) => worker.once('message', resolve));
  for (let round = 1; round <= 3; ++round) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    Atomics.store(view, 0, round);
    while (Atomics.load(view, 1) !== round);
    console.log('round', round);
  }
  console.log('exit', await new Promise((resolve) => worker.once('exit', resolve)));
} else {
  parentPort.postMessage('ready');
  for (let round = 1; round <= 3; ++round) {
    while (Atomics.load(workerData, 0) !== round);
    Atomics.store(workerData, 1, round);
  }
}
