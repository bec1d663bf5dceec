# init, add, commit, branch, merge, log, diff, gc.
set -e
export GIT_AUTHOR_NAME=Author GIT_AUTHOR_EMAIL=author@example.org
export GIT_COMMITTER_NAME=Committer GIT_COMMITTER_EMAIL=committer@example.org
git init -q -b main repository && cd repository
for i in 1 2 3 4 5; do
  echo "content $i $RANDOM" > "file$i.txt"; git add "file$i.txt"; git commit -q -m "Commit $i"
done
git checkout -q -b side HEAD~2
echo side > side.txt; git add .; git commit -q -m "On the side"
git checkout -q main; git merge -q --no-edit side
git log --graph --format='%h %an %ad %s' --date=iso
git diff --stat HEAD~3
git status --short --branch
git gc -q; git fsck --no-progress; git count-objects -v
git show --no-patch --format=%H HEAD
