// troupe history: what was said in a conversation.
#include "cli/history.hpp"

#include <algorithm>
#include <iostream>
#include <iterator>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "cli/answer_view.hpp"
#include "cli/ask.hpp"
#include "cli/command.hpp"

namespace troupe::cli {

namespace {

struct HistoryOptions {
  ConnectChoice connect;
  std::string conversation;
  std::uint32_t from = 1;
  std::uint32_t limit = 0;
  bool json = false;
};

/// All pages, or as many turns as were asked for.
Result<clients::HistoryPage> read_history(const clients::Conversation& conversation, std::uint32_t from, std::uint32_t limit) {
  constexpr std::uint32_t page_max = 64;
  clients::HistoryPage all;
  for (std::uint32_t next = from;;) {
    const auto had = static_cast<std::uint32_t>(all.turns.size());
    const std::uint32_t wanted = limit == 0 ? page_max : std::min(page_max, limit - had);
    TROUPE_TRY(auto page, conversation.history(next, wanted));
    all.more = page.more;
    std::move(page.summaries.begin(), page.summaries.end(), std::back_inserter(all.summaries));
    if (page.turns.empty()) return all;
    next = page.turns.back().id.number + 1;
    std::move(page.turns.begin(), page.turns.end(), std::back_inserter(all.turns));
    if (!page.more || (limit != 0 && all.turns.size() >= limit)) return all;
  }
}

Result<int> history(const HistoryOptions& options) {
  catch_interrupts();
  TROUPE_TRY(const auto client, options.connect.open());
  TROUPE_TRY(const auto conversation, conversation_of(client, options.conversation));
  TROUPE_TRY(const auto page, read_history(conversation, options.from, options.limit));
  if (!options.json) {
    if (page.turns.empty() && conversation.turns() > 0) {
      std::cout << "no turn from number " << options.from << " on; the last is " << conversation.turns() << std::endl;
    } else {
      std::cout << history_of(page);
    }
    return 0;
  }
  Json object{{"conversation", to_string(conversation.id())}, {"home", conversation.home()}, {"more", page.more}};
  object["turns"] = Json::array();
  for (const policy::Turn& turn : page.turns) object["turns"].push_back(json_of(turn));
  object["summaries"] = Json::array();
  for (const policy::Summary& summary : page.summaries) object["summaries"].push_back(json_of(summary));
  std::cout << dumped(object) << std::endl;
  return 0;
}

}  // namespace

std::string history_of(const clients::HistoryPage& page) {
  std::ostringstream stream;
  if (page.turns.empty()) stream << "nothing was asked yet\n";
  for (const policy::Turn& turn : page.turns) {
    stream << turn.id.number << "  " << date_of(turn.accepted_ms) << "\n> " << turn.ask.question << '\n';
    if (!turn.outcome) {
      stream << "(not ended yet)\n";
    } else if (turn.outcome->committed) {
      stream << readable(turn) << '\n';
    } else {
      stream << "(not answered: " << turn.outcome->message << ", " << turn.outcome->code << ")\n";
    }
    for (const policy::Summary& summary : page.summaries) {
      if (summary.last_turn == turn.id.number)
        stream << "-- summary " << summary.version << ", up to here: " << summary.text << '\n';
    }
  }
  if (page.more) stream << "(there are later turns)\n";
  return plain(stream.str());
}

void add_history(CLI::App& app, Action& action) {
  auto options = std::make_shared<HistoryOptions>();
  CLI::App& command = *app.add_subcommand("history", "Show what was said in a conversation");
  command.footer(
      "Examples:\n"
      "  troupe history 0123456789abcdef0123456789abcdef\n"
      "  troupe history --from 10 --limit 5 --json 0123456789abcdef0123456789abcdef\n"
      "A conversation is named by troupe ask --json and by /history of troupe chat; its turns are CONVERSATION/NUMBER.");
  command.add_option("conversation", options->conversation, "32 hexadecimal digits")
      ->required()
      ->check(not_empty(a_conversation));
  command.add_option("--from", options->from, "Number of the first turn")
      ->check(CLI::Range(std::uint32_t{1}, std::numeric_limits<std::uint32_t>::max()))
      ->capture_default_str();
  command.add_option("--limit", options->limit, "Turns at most (0: all)")->capture_default_str();
  options->connect.add_to(command);
  command.add_flag("--json", options->json, "One JSON object")->group("Output");
  command.callback([options, &action] { action = [options] { return history(*options); }; });
}

}  // namespace troupe::cli
