// troupe shadow: what came of the turns that were answered once more.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/ask.hpp"
#include "cli/command.hpp"
#include "cli/shadow_view.hpp"

namespace troupe::cli {

namespace {

constexpr std::size_t listed_max = 1000;

struct ReportOptions {
  ConnectChoice connect;
  std::string experiment;
  std::string since;
  std::size_t list = 0;
  bool json = false;
};

std::int64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

/// "90s", "30m", "24h" or "7d" ago.
std::optional<std::int64_t> ago_of(std::string_view text) {
  constexpr std::int64_t count_max = 100'000;
  std::int64_t count = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (problem != std::errc{} || end + 1 != text.data() + text.size() || count < 0 || count > count_max) return std::nullopt;
  const std::int64_t seconds = *end == 's' ? 1 : *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 0;
  if (seconds == 0) return std::nullopt;
  return now_ms() - count * seconds * 1000;
}

/// "2026-11-28" or "2026-11-28 09:30:00", in UTC.
std::optional<std::int64_t> date_ms_of(const std::string& text) {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  int hours = 0;
  int minutes = 0;
  int seconds = 0;
  int end = 0;
  if (std::sscanf(text.c_str(), "%4d-%2u-%2u%n", &year, &month, &day, &end) != 3) return std::nullopt;
  if (static_cast<std::size_t>(end) < text.size()) {
    int rest = 0;
    const char* time = text.c_str() + end;
    if (std::sscanf(time, " %2d:%2d:%2d%n", &hours, &minutes, &seconds, &rest) != 3) return std::nullopt;
    if (time[rest] != '\0') return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok() || hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 60) return std::nullopt;
  const auto at =
      std::chrono::sys_days(date) + std::chrono::hours(hours) + std::chrono::minutes(minutes) + std::chrono::seconds(seconds);
  return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

Result<std::int64_t> since_of(const std::string& text) {
  if (text.empty()) return 0;
  if (const auto ago = ago_of(text)) return *ago;
  if (const auto date = date_ms_of(text)) return *date;
  return Error{ErrorCode::invalid_argument, "--since is \"" + text +
                                                "\", expected how long ago (90s, 30m, 24h, 7d) or a time in UTC (2026-11-28, "
                                                "\"2026-11-28 09:30:00\")"};
}

/// Says how many records were read, if it takes a while.
class Counter {
 public:
  void count(std::size_t more) {
    records_ += more;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::seconds(2)) return;
    last_ = now;
    std::fprintf(stderr, "reading shadows: %zu so far\n", records_);
  }

 private:
  std::size_t records_ = 0;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

struct NodeLog {
  std::string node;
  clients::Client client;
};

/// Each node keeps what became of the turns that are at home there, so all are asked.
Result<std::vector<NodeLog>> logs_of(const clients::Client& client, ShadowFindings& findings) {
  TROUPE_TRY(const auto cluster, client.status());
  std::vector<NodeLog> logs;
  for (const policy::NodeView& node : cluster.nodes) {
    if (node.id == cluster.self) {
      logs.push_back({node.id.value, client});
      continue;
    }
    if (node.state == policy::NodeState::gone) {
      findings.away.push_back("node " + node.id.value + ", which is away");
      continue;
    }
    auto other = ConnectChoice{.addresses = {node.client_address}}.open();
    if (other) {
      logs.push_back({node.id.value, *std::move(other)});
    } else {
      findings.away.push_back("node " + node.id.value + ": " + other.error().message);
    }
  }
  for (const NodeLog& log : logs) findings.nodes.push_back(log.node);
  return logs;
}

/// Goes through a node's log; remembers the newest records whose answers differ, without texts.
Result<void> read_log(const NodeLog& log, const ReportOptions& options, policy::ShadowReport& report, ShadowFindings& findings,
                      Counter& counter) {
  policy::ShadowQuery query;
  query.limit = policy::ShadowPage::numbers_max;
  query.experiment = options.experiment;
  query.since_ms = findings.since_ms;
  for (;;) {
    TROUPE_TRY(auto page, log.client.shadows(query));
    for (const policy::RunningShadow& running : page.running) {
      const bool wanted = options.experiment.empty() || running.name == options.experiment;
      const bool known = std::any_of(findings.running.begin(), findings.running.end(),
                                     [&](const auto& each) { return each.name == running.name; });
      if (wanted && !known) findings.running.push_back(running);
    }
    for (policy::NumberedShadowRecord& numbered : page.records) {
      report.add(numbered.record);
      const bool differs = numbered.record.fate == policy::ShadowFate::compared && !numbered.record.agree();
      if (differs && options.list > 0) findings.listed.push_back({log.node, std::move(numbered)});
    }
    counter.count(page.records.size());
    if (!page.more) return {};
    if (page.next <= query.from) return Error{ErrorCode::corrupt, "node " + log.node + " does not get on with its log"};
    query.from = page.next;
  }
}

void keep_newest(std::vector<ShadowOfNode>& listed, std::size_t count) {
  std::stable_sort(listed.begin(), listed.end(), [](const ShadowOfNode& one, const ShadowOfNode& other) {
    return one.numbered.record.at_ms > other.numbered.record.at_ms;
  });
  if (listed.size() > count) listed.erase(listed.begin() + static_cast<std::ptrdiff_t>(count), listed.end());
}

/// Those that were removed from the log meanwhile are left out.
Result<void> read_texts(const std::vector<NodeLog>& logs, std::vector<ShadowOfNode>& listed) {
  std::vector<ShadowOfNode> whole;
  for (const ShadowOfNode& each : listed) {
    const auto log = std::find_if(logs.begin(), logs.end(), [&](const NodeLog& one) { return one.node == each.node; });
    policy::ShadowQuery query;
    query.from = each.numbered.number;
    query.limit = 1;
    query.texts = true;
    TROUPE_TRY(auto page, log->client.shadows(query));
    if (page.records.empty() || page.records.front().number != each.numbered.number) continue;
    whole.push_back({each.node, std::move(page.records.front())});
  }
  listed = std::move(whole);
  return {};
}

Result<int> report(const ReportOptions& options) {
  ShadowFindings findings;
  TROUPE_TRY(findings.since_ms, since_of(options.since));
  catch_interrupts();
  TROUPE_TRY(const auto client, options.connect.open());
  TROUPE_TRY(const auto logs, logs_of(client, findings));
  policy::ShadowReport sums;
  Counter counter;
  for (const NodeLog& log : logs) {
    TROUPE_TRY_DO(read_log(log, options, sums, findings, counter));
    keep_newest(findings.listed, options.list);
  }
  TROUPE_TRY_DO(read_texts(logs, findings.listed));
  findings.rows = sums.rows();
  if (!options.experiment.empty() && findings.rows.empty() && findings.running.empty()) {
    return Error{ErrorCode::not_found,
                 "there is no shadow \"" + options.experiment +
                     "\": no node runs it, and no log has a turn of it; without --experiment all are shown"};
  }
  if (options.json) {
    std::cout << dumped(json_of(findings)) << std::endl;
  } else {
    print_shadows(std::cout, findings);
  }
  return 0;
}

}  // namespace

void add_shadow(CLI::App& app, Action& action) {
  CLI::App& shadow = *app.add_subcommand("shadow", "Compare answers with those of another tier or policy, on live questions");
  shadow.require_subcommand(1);
  auto options = std::make_shared<ReportOptions>();
  CLI::App& command = *shadow.add_subcommand("report", "What came of the turns that were answered once more");
  command.footer(
      "Examples:\n"
      "  troupe shadow report\n"
      "  troupe shadow report --since 24h --list 5\n"
      "  troupe shadow report --experiment heavy-for-all --json\n"
      "A policy's [[shadow]] says which share of the turns is answered once more, by which tier or under which policy; "
      "clients\n"
      "see nothing of it (docs/shadowing.md). Every node keeps its own turns' records, the newest 100000, and all are asked.\n"
      "Agreement is the same text, and the same sources cited; numbers and names alone are the weaker measure.");
  command.add_option("--experiment", options->experiment, "Only this one");
  command.add_option(
      "--since", options->since,
      "Only turns since: how long ago (90s, 30m, 24h, 7d), or a time in UTC (2026-11-28, \"2026-11-28 09:30:00\")");
  command.add_option("--list", options->list, "Show so many of the newest turns whose answers differ, side by side")
      ->check(CLI::Range(std::size_t{0}, listed_max))
      ->capture_default_str();
  options->connect.add_to(command);
  command.add_flag("--json", options->json, "One JSON object")->group("Output");
  command.callback([options, &action] { action = [options] { return report(*options); }; });
}

}  // namespace troupe::cli
