"""asyncio: tasks, queues, subprocesses, streams on loopback, executor threads, signals."""
import asyncio, os, random, signal, time

async def worker(name, jobs, done):
    while True:
        job = await jobs.get()
        await asyncio.sleep(random.random() / 500)
        done.append(f"{name}{job}")
        jobs.task_done()

async def echo(reader, writer):
    writer.write(b"echo " + await reader.readline())
    await writer.drain()
    writer.close()

async def main():
    jobs, done = asyncio.Queue(), []
    workers = [asyncio.create_task(worker(n, jobs, done)) for n in "abc"]
    for job in range(20): jobs.put_nowait(job)
    await jobs.join()
    for w in workers: w.cancel()
    print(" ".join(done))
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async def asks(n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"%d\n" % n)
        answer = await reader.read()
        writer.close()
        return answer
    print(port, await asyncio.gather(*(asks(n) for n in range(5))))
    server.close()
    process = await asyncio.create_subprocess_exec("sh", "-c", "read x; echo got $x $$; exit 4",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate(b"input\n")
    print(output, process.returncode)
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, time.monotonic_ns))
    signalled = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, signalled.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(signalled.wait(), 5)
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.005)
    except asyncio.TimeoutError:
        print("timed out", loop.time())

asyncio.run(main())
