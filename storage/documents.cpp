#include "storage/documents.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>
#include <system_error>
#include <tuple>
#include <utility>

#include "model/digest.hpp"
#include "model/file.hpp"
#include "model/utf8.hpp"
#include "policy/terms.hpp"
#include "storage/corpus_documents.hpp"
#include "storage/html.hpp"
#include "storage/markdown.hpp"

namespace troupe::storage {

namespace {

namespace fs = std::filesystem;

enum class Format { markdown, html, text, other };

Format format_of(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (extension == ".md" || extension == ".markdown") return Format::markdown;
  if (extension == ".html" || extension == ".htm") return Format::html;
  return extension == ".txt" ? Format::text : Format::other;
}

/// Two kinds of file with one stem are two documents, so only Markdown, which came first, goes without its ending.
std::string name_of(const fs::path& relative) {
  const std::string name = relative.generic_string();
  return name.ends_with(".md") ? name.substr(0, name.size() - 3) : name;
}

Result<void> check_text(std::string_view bytes) {
  const auto at = [](std::size_t place) { return " at byte " + std::to_string(place); };
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF")) {
    return Error{ErrorCode::invalid_argument, "this is UTF-16 (by its first two bytes); convert it: iconv -f UTF-16 -t UTF-8"};
  }
  if (const std::size_t zero = bytes.find('\0'); zero != std::string_view::npos) {
    return Error{ErrorCode::invalid_argument, "this is no text: it has a zero" + at(zero)};
  }
  if (const auto bad = model::find_invalid_utf8(bytes)) {
    std::array<char, 8> shown{};
    std::snprintf(shown.data(), shown.size(), "0x%02X", static_cast<unsigned>(static_cast<unsigned char>(bytes[*bad])));
    return Error{ErrorCode::invalid_argument, "this is not UTF-8: there is " + std::string(shown.data()) + at(*bad) +
                                                  "; if it is Latin-1, convert it: iconv -f ISO-8859-1 -t UTF-8"};
  }
  return {};
}

/// Where to cut a text so that at most `bytes_max` bytes are before it: between words if it can be, never in a character.
std::size_t cut_of(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text.size();
  const std::size_t fits = std::max(model::utf8_prefix(text, bytes_max).size(), model::first_utf8_unit(text).length);
  const std::size_t space = text.rfind(' ', fits);
  return space == std::string_view::npos || space == 0 ? fits : space;
}

/// Pieces of at most `bytes_max`, each of as many whole parts as fit.
std::vector<std::string> gathered(const std::vector<std::string_view>& parts, std::size_t bytes_max) {
  std::vector<std::string> pieces;
  for (std::string_view part : parts) {
    while (!part.empty()) {
      const std::size_t cut = cut_of(part, bytes_max);
      const std::string_view piece = part.substr(0, cut);
      part.remove_prefix(cut);
      part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
      if (!pieces.empty() && pieces.back().size() + 1 + piece.size() <= bytes_max) {
        pieces.back() += " " + std::string(piece);
      } else {
        pieces.emplace_back(piece);
      }
    }
  }
  return pieces;
}

std::vector<Section> divided(std::vector<Section> sections, std::size_t bytes_max) {
  std::vector<Section> result;
  for (Section& section : sections) {
    if (section.text.size() <= bytes_max) {
      result.push_back(std::move(section));
      continue;
    }
    const auto pieces = gathered(policy::sentences(section.text), bytes_max);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const std::string number = std::to_string(i + 1);
      result.push_back({i == 0 ? section.key : section.key + "/" + number,
                        i == 0 ? section.name : section.name + " (" + number + ")", pieces[i], section.heading});
    }
  }
  return result;
}

std::vector<Section> sections_of_text(std::string_view text, const std::string& name, std::size_t bytes_max) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark
  std::vector<std::string> paragraphs(1);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + (text.substr(end).starts_with("\r\n") ? 2 : 1), text.size()));
    const std::size_t begin = line.find_first_not_of(" \t\v\f");
    if (begin == std::string_view::npos) {
      if (!paragraphs.back().empty()) paragraphs.emplace_back();
      continue;
    }
    const std::size_t size = line.find_last_not_of(" \t\v\f") + 1 - begin;
    if (!paragraphs.back().empty()) paragraphs.back() += ' ';
    paragraphs.back() += line.substr(begin, size);
  }
  const std::vector<std::string_view> parts(paragraphs.begin(), paragraphs.end());
  std::vector<Section> sections;
  for (std::string& piece : gathered(parts, bytes_max)) {
    const std::string number = std::to_string(sections.size() + 1);
    sections.push_back({name + "#" + number, sections.empty() ? name : name + " (" + number + ")", std::move(piece), ""});
  }
  return sections;
}

Result<void> add_file(const fs::path& path, const fs::path& relative, const DocumentLimits& limits, DocumentFiles& found) {
  if (format_of(path) == Format::other) {
    ++found.others;
    return {};
  }
  if (path.filename() == "README.md") return {};
  if (found.files.size() == limits.files_max) {
    return Error{ErrorCode::too_large,
                 "more than " + std::to_string(limits.files_max) + " documents; add a folder in it at a time"};
  }
  found.files.push_back({path, name_of(relative)});
  return {};
}

/// Folder by folder, so that one that cannot be read does not end the others.
Result<void> add_folder(const fs::path& top, const DocumentLimits& limits, DocumentFiles& found) {
  std::vector<fs::path> folders{top};
  while (!folders.empty()) {
    const fs::path folder = std::move(folders.back());
    folders.pop_back();
    std::error_code problem;
    fs::directory_iterator entry(folder, problem);
    for (; !problem && entry != fs::directory_iterator(); entry.increment(problem)) {
      std::error_code unknown;
      const fs::path& path = entry->path();
      if (path.filename().native().starts_with('.')) continue;
      const auto type = entry->symlink_status(unknown).type();
      if (type == fs::file_type::symlink) found.links.push_back(path);
      if (type == fs::file_type::directory) folders.push_back(path);
      if (type == fs::file_type::regular) TROUPE_TRY_DO(add_file(path, path.lexically_relative(top), limits, found));
    }
    if (problem) found.refused.push_back(folder.string() + ": this folder cannot be read: " + problem.message());
  }
  return {};
}

/// Of Markdown, or what becomes Markdown.
Result<std::vector<Section>> marked_sections(Format format, const DocumentFile& file, const std::string& bytes,
                                             const DocumentLimits& limits) {
  const std::string where = file.path.string();
  std::string markdown;
  if (format == Format::html) {
    auto converted = markdown_of_html(bytes, fs::path(file.name).stem().string());
    if (!converted) return std::move(converted).error().within(where);
    markdown = *std::move(converted);
  }
  // What HTML becomes may be a little longer than it was.
  auto sections =
      parse_markdown(format == Format::html ? markdown : bytes, file.name, {.file_bytes_max = 2 * limits.file_bytes_max});
  if (!sections) return std::move(sections).error().within(where);
  return divided(*std::move(sections), limits.section_bytes_max);
}

/// Keeps each name once.
void refuse_copies(DocumentFiles& found) {
  std::ranges::sort(found.files, {}, [](const DocumentFile& each) { return std::tie(each.name, each.path.native()); });
  std::vector<DocumentFile> kept;
  for (DocumentFile& file : found.files) {
    if (kept.empty() || kept.back().name != file.name) {
      kept.push_back(std::move(file));
    } else {
      found.refused.push_back(file.path.string() + ": " + kept.back().path.string() +
                              " would be the same document; rename one");
    }
  }
  found.files = std::move(kept);
}

}  // namespace

Result<DocumentFiles> find_documents(const fs::path& path, const DocumentLimits& limits) {
  DocumentFiles found;
  std::error_code problem;
  if (fs::is_directory(path, problem)) {
    TROUPE_TRY_DO(add_folder(path, limits, found));
  } else if (fs::is_regular_file(path, problem)) {
    TROUPE_TRY_DO(add_file(path, path.filename(), limits, found));
  } else {
    return Error{ErrorCode::not_found, path.string() + " is neither a file nor a folder"};
  }
  if (found.files.empty() && found.refused.empty()) {
    return Error{ErrorCode::not_found, path.string() + " has no documents: no *.md (besides README.md), *.html or *.txt"};
  }
  refuse_copies(found);
  return found;
}

Result<DocumentBytes> read_document(const DocumentFile& file, const DocumentLimits& limits) {
  TROUPE_TRY(auto bytes, model::read_file(file.path, limits.file_bytes_max));
  std::string hash = model::to_hex(model::sha256(std::as_bytes(std::span(bytes))));
  return DocumentBytes{std::move(bytes), std::move(hash)};
}

Result<Document> parse_document(const DocumentFile& file, const DocumentBytes& bytes, const DocumentLimits& limits) {
  const std::string where = file.path.string();
  if (const auto text = check_text(bytes.bytes); !text) return Error(text.error()).within(where);
  Document document{file.name, bytes.content_hash, {}};
  const Format format = format_of(file.path);
  if (format == Format::text) {
    document.sections = sections_of_text(bytes.bytes, file.name, limits.section_bytes_max);
  } else {
    TROUPE_TRY(document.sections, marked_sections(format, file, bytes.bytes, limits));
  }
  if (const auto checked = check_document(document); !checked) return Error(checked.error()).within(where);
  return document;
}

}  // namespace troupe::storage
