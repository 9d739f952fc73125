#include "policy/left_out.hpp"

#include <algorithm>
#include <string>

namespace troupe::policy {

namespace {

std::string counted(std::size_t count, const char* one, const char* many) {
  return std::to_string(count) + ' ' + (count == 1 ? one : many);
}

}  // namespace

std::vector<LeftOut> left_out_of(const ContextChoice& choice) {
  std::vector<LeftOut> left_out;
  const std::string no_room = "no room in " + std::to_string(choice.tokens_max) + " tokens";
  if (const std::size_t count = std::min(choice.turns_left_out, choice.turns.size()); count > 0) {
    const std::string first = std::to_string(choice.turns.front());
    const std::string last = std::to_string(choice.turns[count - 1]);
    left_out.push_back({count == 1 ? "turn " + first : "turns " + first + " to " + last, no_room});
  }
  for (std::uint32_t place = 0; place < choice.passages.size(); ++place) {
    if (std::ranges::find(choice.kept, place) != choice.kept.end()) continue;
    const bool beyond = place >= choice.passages_max;
    left_out.push_back({choice.passages[place].name, beyond
                                                         ? "a prompt of " + std::string(to_string(choice.tier)) + " has " +
                                                               counted(choice.passages_max, "passage", "passages") + " at most"
                                                         : no_room});
  }
  if (choice.retired > choice.recalled) {
    left_out.push_back({counted(choice.retired - choice.recalled, "older entry", "older entries") + " of the summary",
                        "the question is not about them"});
  }
  return left_out;
}

}  // namespace troupe::policy
