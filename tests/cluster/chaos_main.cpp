// Random questions to real processes that are killed at random times; dev/chaos runs it.
#include <unistd.h>

#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/cluster/chaos.hpp"
#include "tests/support/temporary_folder.hpp"

namespace {

using troupe::tests::Chaos;
using troupe::tests::ChaosSummary;

struct Options {
  std::uint64_t events = 50;
  std::uint64_t seed = 1;
  std::uint64_t nodes = 0;
  bool json = false;
  bool help = false;
};

void print_usage() {
  std::cout << "usage: chaos [--events N] [--seed S] [--nodes 1|2|3] [--json]\n\n"
               "  --events N   how many bursts of questions (default 50)\n"
               "  --seed S     of everything that is drawn (default 1)\n"
               "  --nodes K    only clusters of K nodes (default: of one, two and three, in turn)\n"
               "  --json       one JSON object on standard output\n\n"
               "The exit status is 0 if nothing differs, is lost or comes twice, 1 otherwise, 2 if the options are wrong.\n";
}

/// Empty if the options are wrong, after saying so.
std::optional<Options> parse(const std::vector<std::string_view>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    if (name == "--json" || name == "--help" || name == "-h") {
      (name == "--json" ? options.json : options.help) = true;
      continue;
    }
    std::uint64_t* const target = name == "--events"  ? &options.events
                                  : name == "--seed"  ? &options.seed
                                  : name == "--nodes" ? &options.nodes
                                                      : nullptr;
    if (target == nullptr) {
      std::cerr << "chaos: unknown option " << name << "; see --help\n";
      return std::nullopt;
    }
    const std::string_view value = i + 1 < arguments.size() ? arguments[++i] : "";
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *target);
    const bool is_wrong_size = name == "--nodes" && (*target < 1 || *target > 3);
    if (error != std::errc() || end != value.data() + value.size() || is_wrong_size) {
      std::cerr << "chaos: " << name << " is \"" << value << "\", expected "
                << (name == "--nodes" ? "1, 2 or 3" : "a number of at most 64 bits") << '\n';
      return std::nullopt;
    }
  }
  return options;
}

void print(const ChaosSummary& summary, const Options& options) {
  const nlohmann::ordered_json object{{"events", summary.events},
                                      {"streams", summary.streams},
                                      {"turns", summary.turns},
                                      {"kills", summary.kills},
                                      {"interrupted", summary.gaps_ms.size()},
                                      {"differing", summary.differing},
                                      {"lost", summary.lost},
                                      {"doubled", summary.doubled},
                                      {"gap_p50_ms", summary.gap_ms(0.5)},
                                      {"gap_p99_ms", summary.gap_ms(0.99)},
                                      {"seed", options.seed}};
  if (options.json) {
    std::cout << object.dump() << '\n';
    return;
  }
  for (const auto& [name, value] : object.items()) std::cout << name << ' ' << value << '\n';
}

}  // namespace

int main(int count, char** values) {
  const auto options = parse({values + 1, values + count});
  if (!options) return 2;
  if (options->help) {
    print_usage();
    return 0;
  }
  const troupe::tests::TemporaryFolder folder;
  Chaos chaos(folder.path(), options->seed, static_cast<std::size_t>(options->nodes));
  const auto summary = chaos.run(options->events);
  if (!summary) {
    std::cerr << "chaos: " << summary.error().message << '\n';
    return 1;
  }
  print(*summary, *options);
  return summary->differing + summary->lost + summary->doubled == 0 ? 0 : 1;
}
