"""Threads: locks, queues, a pool, events, a timer, thread-local data."""
import concurrent.futures, os, queue, random, threading, time

log, lock = [], threading.Lock()

def works(number):
    for i in range(30):
        with lock:
            log.append(number)
        if i % 10 == 0:
            time.sleep(random.random() / 1000)

threads = [threading.Thread(target=works, args=(n,)) for n in range(5)]
for t in threads: t.start()
for t in threads: t.join()
print("".join(map(str, log)), [t.native_id - os.getpid() for t in threads])

jobs, results = queue.Queue(), queue.Queue()
def consumes():
    while (job := jobs.get()) is not None:
        results.put((job, threading.get_native_id(), sum(range(job))))
consumers = [threading.Thread(target=consumes) for _ in range(3)]
for t in consumers: t.start()
for job in range(100): jobs.put(job)
for _ in consumers: jobs.put(None)
for t in consumers: t.join()
print(hash(tuple(results.get() for _ in range(100))))

with concurrent.futures.ThreadPoolExecutor(4) as pool:
    futures = [pool.submit(pow, 3, n, 1000007) for n in range(50)]
    print(hash(tuple(f.result() for f in concurrent.futures.as_completed(futures))))
rung = threading.Event()
threading.Timer(0.01, rung.set).start()
print(rung.wait(5), rung.is_set(), time.monotonic_ns(), id(rung))
counter = 0
def computes():  # no call for long: the interpreter's own hand-over of its lock decides
    global counter
    for _ in range(60000): counter += 1
threads = [threading.Thread(target=computes) for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
print(counter)
