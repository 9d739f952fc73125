#include "policy/memory.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>

#include "policy/terms.hpp"

namespace troupe::policy {

namespace {

constexpr std::string_view user_line = "User";
constexpr std::string_view answers_line = "Answers";
constexpr std::string_view open_line = "Open";
constexpr std::array<std::string_view, 4> lines = {user_line, answers_line, "Decided", open_line};
constexpr std::string_view between_entries = "; ";
/// What the bundled models call the things that users say about themselves; a name stands alone, and begins with a capital.
constexpr auto user_words =
    std::to_array<std::string_view>({"works", "site", "case", "device", "extension", "deadline", "prefers"});

constexpr std::size_t concerned_max = 16;
constexpr double mentioned_share = 0.9;  ///< of an open point's words
constexpr double worth_recalling = 0.5;  ///< of the best entry's score

/// Prose first, then the lines in the order of their form.
std::size_t line_place(const MemoryEntry& entry) {
  return static_cast<std::size_t>(std::ranges::find(lines, entry.line) - lines.begin() + 1) % (lines.size() + 1);
}

bool same(const MemoryEntry& one, const MemoryEntry& other) { return one.line == other.line && one.text == other.text; }
bool has(std::span<const MemoryEntry> entries, const MemoryEntry& entry) {
  return std::ranges::any_of(entries, [&](const MemoryEntry& each) { return same(each, entry); });
}

/// What an entry is about: there is one entry about each thing.
std::string subject_of(const MemoryEntry& entry) {
  const std::string& text = entry.text;
  std::string subject = text;
  if (entry.line == answers_line) {
    subject = text.substr(0, text.find(": "));
  } else if (entry.line == user_line && !text.empty()) {
    const std::string word = text.substr(0, text.find(' '));
    if (std::ranges::find(user_words, word) != user_words.end()) subject = word;
    if (text[0] >= 'A' && text[0] <= 'Z') subject = "name";
  }
  return entry.line + '\n' + subject;
}

/// An answer is searched by what it is about, not by what it says.
std::set<std::string> words_of(const MemoryEntry& entry) {
  const auto words = content_terms(entry.line == answers_line ? entry.text.substr(0, entry.text.find(": ")) : entry.text);
  return {words.begin(), words.end()};
}

std::size_t bytes_of(std::span<const MemoryEntry> entries, std::string_view line) {
  std::size_t bytes = 0;
  for (const MemoryEntry& entry : entries) bytes += entry.line == line ? entry.text.size() : 0;
  return bytes;
}

/// The line whose oldest entry makes room; empty if none can.
std::string_view longest_line(std::span<const MemoryEntry> entries) {
  std::string_view longest;
  std::size_t most = 0;
  for (const std::string_view line : lines) {
    const std::size_t bytes = line == user_line ? 0 : bytes_of(entries, line);
    if (bytes > most) longest = line;
    most = std::max(most, bytes);
  }
  return most == 0 && bytes_of(entries, user_line) > 0 ? user_line : longest;
}

void make_room(Summary& next, std::vector<MemoryEntry>& entries, std::int32_t tokens_max) {
  while (estimate_tokens(text_of(entries)) > tokens_max) {
    const std::string_view line = longest_line(entries);
    if (line.empty()) return;
    const auto oldest = std::ranges::find(entries, line, &MemoryEntry::line);
    next.retired.push_back(std::move(*oldest));
    entries.erase(oldest);
  }
}

}  // namespace

std::int32_t estimate_tokens(std::string_view text) { return static_cast<std::int32_t>(text.size() / bytes_per_token) + 1; }

std::vector<MemoryEntry> entries_of(std::string_view summary, std::uint32_t turn) {
  std::vector<MemoryEntry> entries;
  while (!summary.empty()) {
    const std::size_t length = std::min(summary.find('\n'), summary.size());
    std::string_view text = trimmed(summary.substr(0, length));
    summary.remove_prefix(std::min(length + 1, summary.size()));
    const auto line = std::ranges::find_if(
        lines, [&](std::string_view name) { return text.starts_with(name) && text.substr(name.size()).starts_with(": "); });
    if (line == lines.end()) {
      if (!text.empty()) entries.push_back({"", std::string(text), turn});
      continue;
    }
    text.remove_prefix(line->size() + 2);
    while (!text.empty()) {
      const std::size_t end = std::min(text.find(between_entries), text.size());
      std::string_view entry = trimmed(text.substr(0, end));
      while (entry.ends_with(';')) entry = trimmed(entry.substr(0, entry.size() - 1));
      if (!entry.empty()) entries.push_back({std::string(*line), std::string(entry), turn});
      text.remove_prefix(std::min(end + between_entries.size(), text.size()));
    }
  }
  std::ranges::stable_sort(entries, {}, line_place);
  return entries;
}

std::string text_of(std::span<const MemoryEntry> entries) {
  std::string text;
  for (const MemoryEntry& entry : entries) {
    if (entry.line.empty()) text += (text.empty() ? "" : "\n") + entry.text;
  }
  for (const std::string_view line : lines) {
    bool begun = false;
    for (const MemoryEntry& entry : entries) {
      if (entry.line != line) continue;
      if (!begun) text += (text.empty() ? "" : "\n") + std::string(line) + ": ";
      text += (begun ? std::string(between_entries) : "") + entry.text;
      begun = true;
    }
  }
  return text;
}

void remember(Memory& memory, const Summary& summary) {
  memory.entries = entries_of(summary.text, summary.last_turn);
  if (summary.turns.size() == memory.entries.size()) {  // an older troupe did not say of which turns they are
    for (std::size_t i = 0; i < memory.entries.size(); ++i) memory.entries[i].turn = summary.turns[i];
  }
  std::erase_if(memory.retired, [&](const MemoryEntry& entry) { return has(summary.withdrawn, entry); });
  memory.retired.insert(memory.retired.end(), summary.retired.begin(), summary.retired.end());
  if (memory.retired.size() > Memory::retired_max) {
    memory.retired.erase(memory.retired.begin(), memory.retired.end() - static_cast<std::ptrdiff_t>(Memory::retired_max));
  }
}

std::vector<MemoryEntry> concerned(const Memory& memory, std::span<const Exchange> exchanges) {
  std::set<std::string> said;
  for (const Exchange& exchange : exchanges) {
    for (const std::string& word : content_terms(exchange.question + '\n' + exchange.answer)) said.insert(word);
  }
  const auto mentioned = [&](const MemoryEntry& entry) {
    const auto words = words_of(entry);
    const auto found = std::ranges::count_if(words, [&](const std::string& word) { return said.contains(word); });
    return !words.empty() && static_cast<double>(found) >= mentioned_share * static_cast<double>(words.size());
  };
  std::vector<MemoryEntry> shown;
  for (const auto* part : {&memory.retired, &memory.entries}) {
    for (const MemoryEntry& entry : *part) {
      if (entry.line == open_line && shown.size() < concerned_max && mentioned(entry)) shown.push_back(entry);
    }
  }
  for (const MemoryEntry& entry : memory.entries) {
    if (entry.line.empty()) shown.push_back(entry);
  }
  return shown;
}

Summary fold(const Memory& memory, std::span<const MemoryEntry> shown, std::string_view written, std::uint32_t last_turn,
             std::int32_t tokens_max) {
  Summary next;
  next.last_turn = last_turn;
  std::map<std::string, MemoryEntry> by_subject;
  std::vector<std::string> order;
  bool prose = false;
  for (MemoryEntry& entry : entries_of(written, last_turn)) {
    prose = prose || entry.line.empty();
    std::string subject = subject_of(entry);
    if (by_subject.insert_or_assign(subject, std::move(entry)).second) order.push_back(std::move(subject));
  }
  std::vector<MemoryEntry> entries;
  for (const MemoryEntry& known : memory.entries) {
    const auto found = by_subject.find(subject_of(known));
    if (found != by_subject.end() && same(found->second, known)) {
      entries.push_back(known);  // it stays what it was, and where
      by_subject.erase(found);
    } else if (known.line.empty() ? prose : found != by_subject.end() || has(shown, known)) {
      if (!known.line.empty()) next.withdrawn.push_back(known);
    } else {
      entries.push_back(known);
    }
  }
  for (const MemoryEntry& known : memory.retired) {
    if (by_subject.contains(subject_of(known)) || has(shown, known)) next.withdrawn.push_back(known);
  }
  for (const std::string& subject : order) {
    if (const auto found = by_subject.find(subject); found != by_subject.end()) entries.push_back(std::move(found->second));
  }
  std::ranges::stable_sort(entries, {}, line_place);
  make_room(next, entries, tokens_max);
  next.text = text_of(entries);
  for (const MemoryEntry& entry : entries) next.turns.push_back(entry.turn);
  return next;
}

std::vector<MemoryEntry> recall(const Memory& memory, std::string_view question, std::size_t count) {
  const auto asked = content_terms(question);
  std::vector<std::set<std::string>> words;
  std::unordered_map<std::string, std::size_t> entries_with;
  for (const MemoryEntry& entry : memory.retired) {
    words.push_back(words_of(entry));
    for (const std::string& word : words.back()) ++entries_with[word];
  }
  struct Scored {
    double score = 0;
    std::size_t place = 0;
  };
  std::vector<Scored> found;
  for (std::size_t i = 0; i < words.size(); ++i) {
    double score = 0;
    for (const std::string& word : asked) {
      // A square root is exact to the last bit everywhere, which a logarithm is not.
      if (words[i].contains(word)) score += 1 / std::sqrt(static_cast<double>(entries_with[word]));
    }
    if (score > 0) found.push_back({score / (4 + static_cast<double>(words[i].size())), i});
  }
  // Of equals the newer.
  std::ranges::sort(found, [](const Scored& one, const Scored& other) {
    return one.score != other.score ? one.score > other.score : one.place > other.place;
  });
  std::erase_if(found, [best = found.empty() ? 0 : found.front().score](const Scored& each) {
    return each.score < worth_recalling * best;
  });
  if (found.size() > count) found.resize(count);
  std::ranges::sort(found, {}, &Scored::place);
  std::vector<MemoryEntry> recalled;
  for (const Scored& each : found) recalled.push_back(memory.retired[each.place]);
  return recalled;
}

std::string with_recalled(const Memory& memory, std::span<const MemoryEntry> recalled) {
  std::vector<MemoryEntry> entries(recalled.begin(), recalled.end());
  entries.insert(entries.end(), memory.entries.begin(), memory.entries.end());
  return text_of(entries);
}

}  // namespace troupe::policy
