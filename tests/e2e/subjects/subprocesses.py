"""subprocess in its many ways: pipes, timeout, environment, shells, descriptors passed, preexec."""
import os, subprocess, sys

print(subprocess.run(["sh", "-c", "echo $$ $PPID; echo error >&2; exit 3"], capture_output=True))
print(subprocess.check_output("seq 1 5 | tac", shell=True, text=True))
first = subprocess.Popen(["seq", "1", "10000"], stdout=subprocess.PIPE)
second = subprocess.Popen(["md5sum"], stdin=first.stdout, stdout=subprocess.PIPE, text=True)
first.stdout.close()
print(second.communicate()[0], first.wait())
try:
    subprocess.run(["sleep", "10"], timeout=0.02)
except subprocess.TimeoutExpired as expired:
    print(expired)
r, w = os.pipe()
subprocess.run(["sh", "-c", f"echo passed >&{w}"], pass_fds=[w], close_fds=True)
print(os.read(r, 100))
print(subprocess.run(["env"], env={"ONLY": "this"}, capture_output=True, text=True).stdout)
print(subprocess.run(["sh", "-c", "kill -9 $$"]).returncode)
print(subprocess.run(["pwd"], cwd="/", capture_output=True, preexec_fn=os.setsid).stdout)
print(os.spawnlp(os.P_WAIT, "sh", "sh", "-c", "exit 7"), os.system("exit 8"))
print(subprocess.run([sys.executable, "-c", "print(6 * 7)"], input="", capture_output=True, text=True).stdout)
try:
    subprocess.run(["/nonexistent/program"])
except FileNotFoundError as error:
    print(error)
