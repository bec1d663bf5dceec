# Subshells, command substitution, functions, arithmetic, arrays.
echo "shell $$"
( echo "subshell $BASHPID of $$"; ( echo "deeper $BASHPID"; exit 4 ); echo "gave $?"; cd /; pwd )
pwd
value=$(echo "substituted $BASHPID"; echo second)
echo "$value"
nested=$(echo $(echo $(echo three deep)))
echo "$nested"
count() { local n=$1; (( n == 0 )) && return 0; ( count $((n - 1)) ); echo "level $n"; }
count 8
declare -A table=([one]=1 [two]=2 [three]=3)
for key in "${!table[@]}"; do echo "$key=${table[$key]}"; done | sort
x=0; while read -r word; do ((x += ${#word})); done < <(printf '%s\n' some words here)
echo "letters $x"
