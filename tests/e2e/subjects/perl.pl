# fork, pipes, signals, hashes in their random order, sockets, sprintf.
use strict; use warnings; use Time::HiRes qw(time usleep); use IO::Socket::INET; use POSIX ();
$| = 1;
my %h = map { $_ => rand } 'a' .. 'h';
print "$_=$h{$_}\n" for keys %h;
printf "pid %d time %.6f\n", $$, time;
pipe(my $r, my $w) or die;
my $pid = fork // die;
if (!$pid) { close $r; print $w "child $$\n"; POSIX::_exit(3) }
close $w; print "read: ", <$r>; waitpid $pid, 0; print "status ", $? >> 8, "\n";
my $alarms = 0; local $SIG{ALRM} = sub { $alarms++ };
Time::HiRes::ualarm(3000); usleep 1000 until $alarms; print "alarm\n";
my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die;
if (!fork) { my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . $s->sockport); print $c "hello\n"; POSIX::_exit(0) }
my $c = $s->accept; print "port ", $c->peerport, ": ", <$c>; wait;
print `echo backticks; exit 2`; print "status ", $? >> 8, "\n";
open my $f, '>', 'perl.txt' or die; print $f "line $_\n" for 1 .. 1000; close $f; print -s 'perl.txt', "\n";
my $text = join ',', map { int rand 100 } 1 .. 200; my $n = () = $text =~ /7/g; print "$n sevens\n";
