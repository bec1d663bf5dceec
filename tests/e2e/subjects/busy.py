"""Never ends: threads, children and files at work, until somebody kills it."""
import os, subprocess, threading, time

def works(n):
    while True:
        with open(f"busy{n}", "w") as file:
            file.write(str(time.time()))
        os.stat(file.name)
        time.sleep(0.001)

for n in range(3):
    threading.Thread(target=works, args=(n,)).start()
if os.fork() == 0:
    works("child")
while True:
    subprocess.run(["sh", "-c", "true | cat; sleep 0.01 & wait"])
