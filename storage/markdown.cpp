#include "storage/markdown.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "model/file.hpp"
#include "model/utf8.hpp"

namespace troupe::storage {

namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string_view>;

constexpr std::string_view white = " \t\v\f\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(white);
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin, text.find_last_not_of(white) + 1 - begin);
}

/// Lines end in a line feed, a carriage return, or both.
Lines lines_of(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    lines.push_back(text.substr(0, end));
    const std::size_t ending = text.substr(end).starts_with("\r\n") ? 2 : 1;
    text.remove_prefix(std::min(end + ending, text.size()));
  }
  return lines;
}

void append_line(std::string& text, std::string_view line) {
  const std::string_view words = trimmed(line);
  if (words.empty()) return;
  if (!text.empty()) text += ' ';
  text += words;
}

struct NumberedHeading {
  std::string_view number;
  std::string_view words;
};

/// "3.2" and "Audit logs" of "### §3.2 Audit logs".
std::optional<NumberedHeading> numbered_heading(std::string_view line) {
  constexpr std::string_view mark = "### §";
  if (!line.starts_with(mark)) return std::nullopt;
  line.remove_prefix(mark.size());
  const std::size_t end = line.find_first_of(white);
  if (end == 0 || end == std::string_view::npos || line[end] != ' ') return std::nullopt;
  return NumberedHeading{line.substr(0, end), trimmed(line.substr(end))};
}

/// The text of a heading of any level, without hashes.
std::optional<std::string_view> heading_of(std::string_view line) {
  const std::size_t level = std::min(line.find_first_not_of('#'), line.size());
  if (level < 1 || level > 6 || (level < line.size() && line[level] != ' ' && line[level] != '\t')) return std::nullopt;
  const std::string_view text = trimmed(line.substr(level));
  const std::size_t last = text.find_last_not_of('#');  // "## Heading ##" closes with hashes, "## C#" does not
  if (last == std::string_view::npos) return std::string_view();
  return last + 1 < text.size() && text[last] == ' ' ? trimmed(text.substr(0, last)) : text;
}

/// A line that opens or closes a block of code, as CommonMark has it.
struct Fence {
  std::string_view marks;
  std::string_view info;  ///< what stands behind them
};
std::optional<Fence> fence_of(std::string_view line) {
  const std::size_t indent = line.find_first_not_of(' ');
  if (indent == std::string_view::npos || indent > 3 || (line[indent] != '`' && line[indent] != '~')) return std::nullopt;
  line.remove_prefix(indent);
  const std::size_t count = std::min(line.find_first_not_of(line.front()), line.size());
  if (count < 3) return std::nullopt;
  return Fence{line.substr(0, count), trimmed(line.substr(count))};
}

/// Backticks that have others behind them are code in a line.
bool opens(const Fence& fence) { return fence.marks.front() == '~' || fence.info.find('`') == std::string_view::npos; }
bool closes(const Fence& fence, std::string_view open) { return fence.info.empty() && fence.marks.starts_with(open); }

std::string slug_of(std::string_view heading) {
  std::string slug;
  for (const char c : heading) {
    const bool capital = c >= 'A' && c <= 'Z';
    const bool kept = capital || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
    if (kept) {
      slug += capital ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  while (slug.ends_with('-')) slug.pop_back();
  return slug.empty() ? "section" : slug;
}

Result<std::vector<Section>> numbered_sections(const Lines& lines, std::string_view stem) {
  std::string title(lines.front().substr(std::min(lines.front().find_first_not_of("# "), lines.front().size())));
  if (title.empty()) title = stem;
  std::vector<Section> sections;
  std::unordered_set<std::string> keys;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (const auto heading = numbered_heading(lines[i])) {
      const std::string number(heading->number);
      std::string key = std::string(stem) + "#" + number;
      if (!keys.insert(key).second) {
        return Error{ErrorCode::invalid_argument,
                     "line " + std::to_string(i + 1) + ": §" + number + " is there twice; number one of them anew"};
      }
      sections.push_back({std::move(key), title + " §" + number, "", std::string(heading->words)});
    } else if (!sections.empty() && !lines[i].starts_with('#')) {
      append_line(sections.back().text, lines[i]);
    }
  }
  return sections;
}

std::vector<Section> headed_sections(const Lines& lines, std::string_view stem) {
  const auto first = lines.empty() ? std::nullopt : heading_of(lines.front());
  const std::string title(first && !first->empty() ? *first : stem);
  std::vector<Section> sections;
  std::unordered_set<std::string> keys;
  std::unordered_map<std::string, int> copies;  // of a slug, so far: each is numbered without trying all before it
  std::string name = title;
  std::string slug = slug_of(title);
  std::string text;
  const auto finish = [&] {
    if (text.empty()) return;
    const std::string first_key = std::string(stem) + "#" + slug;
    std::string key;
    do {
      const int copy = ++copies[slug];
      key = copy == 1 ? first_key : first_key + "-" + std::to_string(copy);
    } while (!keys.insert(key).second);
    sections.push_back({std::move(key), name, std::exchange(text, {}), ""});
  };
  std::string_view open;  // the marks of a fence that is open
  for (std::size_t i = first ? 1 : 0; i < lines.size(); ++i) {
    const auto fence = fence_of(lines[i]);
    if (fence && (open.empty() ? opens(*fence) : closes(*fence, open))) {
      open = open.empty() ? fence->marks : std::string_view();
    } else if (const auto heading = open.empty() ? heading_of(lines[i]) : std::nullopt) {
      finish();
      name = heading->empty() ? title : title + ": " + std::string(*heading);
      slug = slug_of(heading->empty() ? title : *heading);
    } else {
      append_line(text, lines[i]);
    }
  }
  finish();
  return sections;
}

/// Ordinary files "*.md", but for README.md.
Result<std::vector<fs::path>> documents_of(const fs::path& folder, std::size_t files_max) {
  std::error_code problem;
  if (!fs::is_directory(folder, problem)) {
    return Error{ErrorCode::not_found, folder.string() + " is no folder; name one that holds Markdown files"};
  }
  std::vector<fs::path> files;
  fs::directory_iterator entry(folder, problem);
  for (; !problem && entry != fs::directory_iterator(); entry.increment(problem)) {
    std::error_code unknown;
    const fs::path& path = entry->path();
    if (path.extension() != ".md" || path.filename() == "README.md") continue;
    if (entry->symlink_status(unknown).type() != fs::file_type::regular) continue;
    files.push_back(path);
    if (files.size() > files_max) {
      return Error{ErrorCode::too_large, folder.string() + " has more than " + std::to_string(files_max) + " Markdown files"};
    }
  }
  if (problem) return Error{ErrorCode::io, "reading " + folder.string() + ": " + problem.message()};
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
  return files;
}

}  // namespace

Result<std::vector<Section>> parse_markdown(std::string_view text, std::string_view stem, const MarkdownLimits& limits) {
  if (text.size() > limits.file_bytes_max) {
    return Error{ErrorCode::too_large, "a document of " + std::to_string(text.size()) + " bytes, expected at most " +
                                           std::to_string(limits.file_bytes_max)};
  }
  if (const auto bad = model::find_invalid_utf8(text)) {
    return Error{ErrorCode::invalid_argument, "not UTF-8 from byte " + std::to_string(*bad) + "; convert it"};
  }
  const Lines lines = lines_of(text);
  // The first line is the title, whatever it looks like.
  const bool numbered = !lines.empty() && std::any_of(lines.begin() + 1, lines.end(),
                                                      [](std::string_view line) { return numbered_heading(line).has_value(); });
  std::vector<Section> sections;
  if (numbered) {
    TROUPE_TRY(sections, numbered_sections(lines, stem));
  } else {
    sections = headed_sections(lines, stem);
  }
  if (sections.size() > limits.sections_max) {
    return Error{ErrorCode::too_large,
                 std::to_string(sections.size()) + " sections, expected at most " + std::to_string(limits.sections_max)};
  }
  return sections;
}

namespace {

/// All that is wrong with a folder's files.
Error joined(std::vector<Error> problems, const fs::path& folder) {
  constexpr std::size_t named_max = 20;
  if (problems.size() == 1) return std::move(problems.front());
  std::string text = std::to_string(problems.size()) + " files of " + folder.string() + " cannot be in a corpus";
  for (const Error& problem : std::span(problems).first(std::min(problems.size(), named_max))) text += "\n  " + problem.message;
  if (problems.size() > named_max) text += "\n  ... and " + std::to_string(problems.size() - named_max) + " more";
  return {problems.front().code, std::move(text)};
}

}  // namespace

Result<std::vector<Section>> read_markdown(const fs::path& folder, const MarkdownLimits& limits) {
  TROUPE_TRY(const auto files, documents_of(folder, limits.files_max));
  std::vector<Section> sections;
  std::vector<Error> problems;
  std::size_t bytes = 0;
  for (const fs::path& file : files) {
    const std::string stem = file.stem().string();
    if (model::find_invalid_utf8(stem)) {
      problems.emplace_back(ErrorCode::invalid_argument,
                            "a Markdown file in " + folder.string() + " has a name that is not UTF-8");
      continue;
    }
    const auto read = model::read_file(file, limits.file_bytes_max);
    if (!read) {
      problems.push_back(read.error());
      continue;
    }
    const std::string& text = *read;
    bytes += text.size();
    if (bytes > Corpus::bytes_max) {
      return Error{ErrorCode::too_large, folder.string() + " has more than " + std::to_string(Corpus::bytes_max) +
                                             " bytes of Markdown, counted up to " + file.string()};
    }
    auto parsed = parse_markdown(text, stem, limits);
    if (!parsed) {
      problems.push_back(std::move(parsed).error().within(file.string()));
      continue;
    }
    std::move(parsed->begin(), parsed->end(), std::back_inserter(sections));
    if (sections.size() > limits.sections_max) {
      return Error{ErrorCode::too_large, folder.string() + " has more than " + std::to_string(limits.sections_max) +
                                             " sections, counted up to " + file.string()};
    }
  }
  if (!problems.empty()) return joined(std::move(problems), folder);
  if (sections.empty()) {
    return Error{ErrorCode::not_found, folder.string() + " has no Markdown file (*.md, besides README.md) with text in it"};
  }
  return sections;
}

}  // namespace troupe::storage
