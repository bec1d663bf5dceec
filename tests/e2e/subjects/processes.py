"""multiprocessing: a pool, queues, shared values, managers and shared memory, by fork and by spawn."""
import multiprocessing, multiprocessing.shared_memory, os

def square(x): return x * x, os.getpid()

def adds(value, lock, queue, n):
    for _ in range(50):
        with lock: value.value += 1
    queue.put((n, os.getpid()))

def fills(name):
    memory = multiprocessing.shared_memory.SharedMemory(name)
    memory.buf[:5] = b"hello"
    memory.close()

if __name__ == "__main__":
    with multiprocessing.Pool(3) as pool:
        print(pool.map(square, range(12), chunksize=2))
        print(sorted(pool.imap_unordered(square, range(4))))
    value, lock, queue = multiprocessing.Value("i", 0, lock=False), multiprocessing.Lock(), multiprocessing.Queue()
    children = [multiprocessing.Process(target=adds, args=(value, lock, queue, n)) for n in range(3)]
    for c in children: c.start()
    print([queue.get() for _ in children])
    for c in children: c.join()
    print(value.value, [c.exitcode for c in children])
    memory = multiprocessing.shared_memory.SharedMemory(create=True, size=100)
    child = multiprocessing.get_context("spawn").Process(target=fills, args=(memory.name,))
    child.start(); child.join()
    print(memory.name, bytes(memory.buf[:5])); memory.close(); memory.unlink()
    with multiprocessing.Manager() as manager:
        table = manager.dict()
        table["key"] = os.getpid()
        print(dict(table))
