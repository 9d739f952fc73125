// The sections of Markdown documents, which a corpus is made of. Two kinds of document are understood:
//
// - Numbered ones, which have headings "### §3.2 Audit logs": a section for each of these, as portfolio/training/evaluate.py
//   reads them. Key "file-name#3.2", name "Title §3.2", heading "Audit logs", the title being the document's first line.
// - Any other: a section for each heading of any level ("# Heading"; not in fenced code) that has text. Key
//   "file-name#heading", in small letters with hyphens, name "Title: Heading". The title is the first line if it is a heading,
//   else the file's name; what stands under the title alone has the title's name.
//
// A section's text is its lines, trimmed, with one space between them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "storage/corpus.hpp"

namespace troupe::storage {

struct MarkdownLimits {
  std::size_t file_bytes_max = std::size_t{8} << 20;
  std::size_t files_max = 4096;
  std::size_t sections_max = Corpus::sections_max;  ///< of the folder
};

/// The sections of one document; `stem` is its file's name without ".md". None if it has no text. `invalid_argument` if the
/// text is not UTF-8 or a number is there twice, `too_large` for too many sections.
Result<std::vector<Section>> parse_markdown(std::string_view text, std::string_view stem, const MarkdownLimits& limits = {});

/// The sections of all "*.md" of a folder, in the order of the files' names, compared byte by byte. README.md describes a
/// folder and is not read, and neither are folders in it, links and special files. `not_found` if there is no folder, or no
/// section in it; otherwise errors name the file, or each of them.
Result<std::vector<Section>> read_markdown(const std::filesystem::path& folder, const MarkdownLimits& limits = {});

}  // namespace troupe::storage
