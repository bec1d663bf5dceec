# Here-documents (small ones go through a pipe, large ones through a file) and here-strings.
name=world
cat <<END
hello $name from $$
END
cat <<'END'
literally $name
END
cat <<-END | tr a-z A-Z
	indented
	END
large=$(printf 'line %d of a document that does not fit a pipe\n' {1..3000})
md5sum <<END
$large
END
wc -c <<< "$large"
while read -r a b; do echo "$b $a"; done <<< "first second"
