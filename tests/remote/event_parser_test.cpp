#include "remote/event_parser.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::remote {
namespace {

using Events = std::vector<ServerEvent>;

Events parsed(const std::string& text) {
  EventParser parser;
  Events events;
  const auto fed = parser.feed(text, [&](const ServerEvent& event) -> Result<void> {
    events.push_back(event);
    return {};
  });
  EXPECT_TRUE(fed) << fed.error().message;
  return events;
}

TEST(EventParser, ReadsEventsWithTheirNames) {
  EXPECT_EQ(parsed("data: one\n\nevent: ping\ndata: {}\n\n"), (Events{{"message", "one"}, {"ping", "{}"}}));
  EXPECT_EQ(parsed("data: a\ndata:b\ndata\n\n"), (Events{{"message", "a\nb\n"}}));
  EXPECT_EQ(parsed("\xef\xbb\xbf"
                   "data:  two blanks\n\n"),
            (Events{{"message", " two blanks"}}));
}

TEST(EventParser, PassesOverWhatMeansNothing) {
  EXPECT_EQ(parsed(": a comment\nid: 7\nretry: 1000\nnonsense\n\n\n\n"), Events{});
  EXPECT_EQ(parsed("event: without data\n\ndata: x\n\n"), (Events{{"message", "x"}}));
  EXPECT_EQ(parsed("data: not ended\n"), Events{});
}

TEST(EventParser, GivesTheSameEventsHoweverTheBytesAreCut) {
  const std::string text = ": c\r\nevent: a\r\ndata: 1\r\n\r\ndata: 2\r\rdata: 3\ndata: 4\n\nevent: b\r\ndata: \xc2\xa7\r\n\n";
  const Events whole = parsed(text);
  ASSERT_EQ(whole.size(), 4U);
  EXPECT_EQ(whole[2].data, "3\n4");
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    EventParser parser;
    Events events;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t bytes = 1 + random.below(5);
      ASSERT_TRUE(parser.feed(text.substr(at, bytes), [&](const ServerEvent& event) -> Result<void> {
        events.push_back(event);
        return {};
      }));
      at += bytes;
    }
    ASSERT_EQ(events, whole) << "seed " << seed;
  }
}

TEST(EventParser, RefusesALineAndAnEventThatDoNotEnd) {
  const auto ignore = [](const ServerEvent&) -> Result<void> { return {}; };
  EventParser lines;
  ASSERT_TRUE(lines.feed("data: " + std::string(EventParser::line_bytes_max - 6, 'x'), ignore));
  EXPECT_EQ(lines.feed("x", ignore).error().code, ErrorCode::too_large);
  EventParser events;
  Result<void> fed;
  int fed_lines = 0;
  while (fed && fed_lines < 100) {
    fed = events.feed("data: " + std::string(100000, 'x') + "\n", ignore);
    ++fed_lines;
  }
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::too_large);
  EXPECT_LT(fed_lines, 25);
}

TEST(EventParser, HandsBackTheErrorOfWhoeverTakesItsEvents) {
  EventParser parser;
  int taken = 0;
  const auto fed = parser.feed("data: 1\n\ndata: 2\n\n", [&](const ServerEvent&) -> Result<void> {
    ++taken;
    return Error{ErrorCode::corrupt, "no"};
  });
  EXPECT_EQ(fed.error().code, ErrorCode::corrupt);
  EXPECT_EQ(taken, 1);
}

}  // namespace
}  // namespace troupe::remote
