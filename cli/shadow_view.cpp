#include "cli/shadow_view.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ostream>

namespace troupe::cli {

namespace {

using policy::ShadowAnswer;
using policy::ShadowRow;
using policy::ShadowSide;

std::string number(double value, int digits) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}
std::string significant(double value) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}
std::string percent(std::size_t part, std::size_t whole) {
  return whole == 0 ? "-" : number(100.0 * static_cast<double>(part) / static_cast<double>(whole), 1) + " %";
}

void line(std::ostream& stream, const std::string& what, const std::string& first, const std::string& second = {}) {
  constexpr std::size_t what_columns = 26;
  constexpr std::size_t side_columns = 20;
  std::string text = "  " + what;
  text.resize(std::max(text.size() + 1, what_columns), ' ');
  text += first;
  if (!second.empty()) {
    text.resize(std::max(text.size() + 2, what_columns + side_columns), ' ');
    text += second;
  }
  stream << text << '\n';
}

void print_sides(std::ostream& stream, const ShadowRow& row) {
  const ShadowSide& client = row.client;
  const ShadowSide& shadow = row.shadow;
  const auto times = [](std::int64_t p50, std::int64_t p95) {
    return std::to_string(p50) + " / " + std::to_string(p95) + " ms";
  };
  line(stream, "", "the client's", "the shadow");
  line(stream, "sure of its answer", percent(client.confident, row.compared), percent(shadow.confident, row.compared));
  line(stream, "failed checks", std::to_string(client.failed_checks), std::to_string(shadow.failed_checks));
  line(stream, "with engines, p50/p95", times(client.engine_p50_ms, client.engine_p95_ms),
       times(shadow.engine_p50_ms, shadow.engine_p95_ms));
  line(stream, "as a whole, p50/p95", times(client.whole_p50_ms, client.whole_p95_ms),
       times(shadow.whole_p50_ms, shadow.whole_p95_ms));
  line(stream, "computed, 10^9", number(client.computed / 1e9, 2), number(shadow.computed / 1e9, 2));
  if (client.cost != 0 || shadow.cost != 0) line(stream, "cost", significant(client.cost), significant(shadow.cost));
}

void print_row(std::ostream& stream, const ShadowRow& row) {
  line(stream, "turns",
       std::to_string(row.drawn) + " drawn: " + std::to_string(row.compared) + " compared, " + std::to_string(row.failed) +
           " failed, " + std::to_string(row.dropped) + " dropped");
  for (const auto& [why, count] : row.why_not) line(stream, "", std::to_string(count) + " not compared: " + why);
  if (row.compared == 0) return;
  line(stream, "agree", percent(row.agreed, row.compared) + ": the same text, and the same sources cited");
  line(stream, "",
       percent(row.same_text, row.compared) + " the same text, " + percent(row.same_values, row.compared) +
           " the same numbers and names");
  if (const std::size_t differ = row.compared - row.agreed; differ > 0) {
    line(stream, "differ",
         std::to_string(differ) + ": sure was only the client's answer " + std::to_string(row.only_client_confident) +
             " times, only the shadow " + std::to_string(row.only_shadow_confident) + ", both " +
             std::to_string(row.both_confident) + ", neither " + std::to_string(row.neither_confident));
    line(stream, "",
         "a check failed only for the client's answer " + std::to_string(row.only_client_failed_check) +
             " times, only for the shadow " + std::to_string(row.only_shadow_failed_check));
  }
  print_sides(stream, row);
}

std::string list_of(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

std::string tiers_of(const ShadowAnswer& answer) {
  std::string text;
  for (const policy::Tier tier : answer.tiers) text += (text.empty() ? "" : ", then ") + std::string(to_string(tier));
  return text;
}

void print_answer(std::ostream& stream, const std::string& whose, const ShadowAnswer& answer) {
  stream << "  " << whose << ", by " << tiers_of(answer) << ", confidence " << significant(answer.confidence)
         << (answer.confident ? ", sure" : ", not sure: " + answer.doubt) << '\n';
  stream << "    " << answer.text << '\n';
  if (!answer.citations.empty()) stream << "    cites " << list_of(answer.citations) << '\n';
}

Json json_of(const ShadowSide& side) {
  return {{"confident", side.confident},
          {"failed_checks", side.failed_checks},
          {"engine_p50_ms", side.engine_p50_ms},
          {"engine_p95_ms", side.engine_p95_ms},
          {"p50_ms", side.whole_p50_ms},
          {"p95_ms", side.whole_p95_ms},
          {"cost", side.cost},
          {"computed", side.computed}};
}

Json json_of(const ShadowRow& row) {
  Json object{{"experiment", row.experiment}, {"drawn", row.drawn},     {"compared", row.compared},
              {"failed", row.failed},         {"dropped", row.dropped}, {"why_not", row.why_not}};
  object["agreed"] = row.agreed;
  object["agreement"] =
      row.compared == 0 ? Json(nullptr) : Json(static_cast<double>(row.agreed) / static_cast<double>(row.compared));
  object["same_text"] = row.same_text;
  object["same_values"] = row.same_values;
  object["differ"] = {{"only_client_confident", row.only_client_confident},
                      {"only_shadow_confident", row.only_shadow_confident},
                      {"both_confident", row.both_confident},
                      {"neither_confident", row.neither_confident},
                      {"only_client_failed_check", row.only_client_failed_check},
                      {"only_shadow_failed_check", row.only_shadow_failed_check}};
  object["client"] = json_of(row.client);
  object["shadow"] = json_of(row.shadow);
  return object;
}

Json json_of(const ShadowAnswer& answer) {
  Json object{{"text", answer.text},           {"citations", answer.citations}, {"confidence", answer.confidence},
              {"confident", answer.confident}, {"doubt", answer.doubt},         {"failed_check", answer.failed_check},
              {"cost", answer.cost},           {"computed", answer.computed},   {"engine_ms", answer.engine_ms},
              {"ms", answer.whole_ms}};
  object["tiers"] = Json::array();
  for (const policy::Tier tier : answer.tiers) object["tiers"].push_back(to_string(tier));
  return object;
}

Json json_of(const ShadowOfNode& listed) {
  const policy::ShadowRecord& record = listed.numbered.record;
  return {{"turn", to_string(record.turn)},
          {"experiment", record.experiment},
          {"node", listed.node},
          {"at_ms", record.at_ms},
          {"question", record.question},
          {"same_text", record.same_text},
          {"same_citations", record.same_citations},
          {"same_values", record.same_values},
          {"client", json_of(record.client)},
          {"shadow", json_of(record.shadow)}};
}

}  // namespace

void print_shadows(std::ostream& stream, const ShadowFindings& findings) {
  stream << "turns at home on " << list_of(findings.nodes)
         << (findings.since_ms > 0 ? ", since " + date_of(findings.since_ms) : std::string()) << '\n';
  for (const std::string& away : findings.away) stream << "not in this report: " << away << '\n';
  if (findings.running.empty() && findings.rows.empty()) {
    stream << "nothing is shadowed: give a node a policy that has a [[shadow]] (deploy/policy.toml has an example)\n";
  }
  for (const ShadowRow& row : findings.rows) {
    const auto running = std::find_if(findings.running.begin(), findings.running.end(),
                                      [&](const policy::RunningShadow& each) { return each.name == row.experiment; });
    stream << '\n'
           << row.experiment << "   " << (running == findings.running.end() ? "(no longer in the policy)" : running->says)
           << '\n';
    print_row(stream, row);
  }
  for (const policy::RunningShadow& running : findings.running) {
    const bool known = std::any_of(findings.rows.begin(), findings.rows.end(),
                                   [&](const ShadowRow& row) { return row.experiment == running.name; });
    if (!known) stream << '\n' << running.name << "   " << running.says << "\n  no turn has been drawn yet\n";
  }
  for (const ShadowOfNode& listed : findings.listed) {
    const policy::ShadowRecord& record = listed.numbered.record;
    stream << '\n'
           << to_string(record.turn) << "   " << date_of(record.at_ms) << ", " << record.experiment << "\n> " << record.question
           << '\n';
    print_answer(stream, "the client's", record.client);
    print_answer(stream, "the shadow", record.shadow);
  }
  stream << std::flush;
}

Json json_of(const ShadowFindings& findings) {
  Json object{{"nodes", findings.nodes}, {"away", findings.away}, {"since_ms", findings.since_ms}};
  object["running"] = Json::array();
  for (const policy::RunningShadow& running : findings.running)
    object["running"].push_back({{"name", running.name}, {"share", running.share}, {"says", running.says}});
  object["experiments"] = Json::array();
  for (const ShadowRow& row : findings.rows) object["experiments"].push_back(json_of(row));
  object["listed"] = Json::array();
  for (const ShadowOfNode& listed : findings.listed) object["listed"].push_back(json_of(listed));
  return object;
}

}  // namespace troupe::cli
