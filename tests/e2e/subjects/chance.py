"""random, secrets, time, uuid, hash randomisation, addresses, temporary files, the platform."""
import gc, os, platform, random, secrets, socket, tempfile, time, uuid

print(random.random(), random.SystemRandom().random(), random.sample(range(1000), 5))
print(secrets.token_hex(16), os.urandom(8).hex(), uuid.uuid1(), uuid.uuid4())
print(time.time_ns(), time.monotonic_ns(), time.perf_counter_ns(), time.process_time_ns(), time.ctime())
print(hash("randomised"), {"set", "of", "strings", "in", "its", "order"}, id(object()), object())
print(os.getpid(), os.getppid(), os.times(), os.getloadavg(), os.cpu_count(), socket.gethostname())
print(platform.platform(), os.sched_getaffinity(0), gc.get_stats()[0]["collections"] >= 0)
with tempfile.NamedTemporaryFile(dir=".") as file:
    print(file.name, os.stat(file.name))
print(sum(time.time() for _ in range(20000)))
print(sorted(os.listdir("/proc/self/task")), open("/proc/self/maps").read())
