#include "tools/text.h"

#include <gtest/gtest.h>

#include <vector>

namespace airr::tools {
namespace {

TEST(Text, PrintableKeepsWordsAndEscapesControls) {
  EXPECT_EQ(printable("plain \\ text"), "plain \\ text");
  EXPECT_EQ(printable("naïve 日本 😀"), "naïve 日本 😀");
  EXPECT_EQ(printable("a\x1b[31mb\x7f"), "a\\x1b[31mb\\x7f");
  EXPECT_EQ(printable("1\n2\r3\t4"), "1\\n2\\r3\\t4");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\u009b31m");  // CSI as one C1 character
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "fdp.exe"),
            "\\u202efdp.exe");  // right-to-left override
}

TEST(Text, PrintableEscapesWhatIsNotUtf8) {
  EXPECT_EQ(printable("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");           // overlong slash
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond U+10FFFF
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");                    // cut off
  EXPECT_EQ(printable("\xe2\x28\xa1"), "\\xe2(\\xa1");
}

TEST(Text, QuotesAreUnambiguous) {
  EXPECT_EQ(inQuotes("a\"b\\n"), "\"a\\\"b\\\\n\"");
  EXPECT_EQ(commandLine(std::vector<std::string>{"ls", "-l", "", "a b", "$x"}),
            "ls -l \"\" \"a b\" \"$x\"");
}

TEST(Text, JsonKeepsBytesThatAreNoText) {
  EXPECT_EQ(jsonText("é"), "é");
  EXPECT_EQ(jsonText("a\xff"), (nlohmann::json{{"hex", "61ff"}}));
  EXPECT_EQ(dump({{"x", "\x1b\x7f\xc2\x9b"}}), R"({"x":"\u001b\u007f\u009b"})");
}

TEST(Text, NumbersInWords) {
  EXPECT_EQ(byteCount(1023), "1023 B");
  EXPECT_EQ(byteCount(1536), "1.5 KiB");
  EXPECT_EQ(byteCount(~uint64_t{0}), "16.0 EiB");
  EXPECT_EQ(seconds(1'234'567), "1.234567 s");
  EXPECT_EQ(utcTime(1'700'000'000'123'000'000), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(utcTime(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(waitStatus(3 << 8), "exited with 3");
  EXPECT_EQ(waitStatus(9), "killed by SIGKILL");
  EXPECT_EQ(waitStatus(11 | 0x80), "killed by SIGSEGV (core dumped)");
  EXPECT_EQ(signalName(64), "signal 64");
  EXPECT_EQ(plural(1, "event"), "1 event");
  EXPECT_EQ(plural(0, "event"), "0 events");
  EXPECT_EQ(plural(2, "process"), "2 processes");
}

}  // namespace
}  // namespace airr::tools
