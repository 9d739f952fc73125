// The files that a corpus is made from, and their sections: Markdown (*.md, *.markdown), web pages (*.html, *.htm) and plain
// text (*.txt). What cannot be in a corpus is refused, one file at a time; what is too long for a passage is divided.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "storage/corpus.hpp"

namespace troupe::storage {

struct DocumentLimits {
  std::size_t file_bytes_max = std::size_t{8} << 20;
  std::size_t files_max = std::size_t{1} << 14;
  std::size_t section_bytes_max = 2048;  ///< about what a prompt has room for; longer sections are divided
};

using policy::Document;

struct DocumentFile {
  std::filesystem::path path;
  std::string name;  ///< of the document: the path below the folder that was named, without ".md"
};

struct DocumentFiles {
  std::vector<DocumentFile> files;           ///< ascending by name, each name once
  std::vector<std::filesystem::path> links;  ///< symbolic links in folders, which are not followed
  std::vector<std::string> refused;          ///< why, each with its file, or with a folder in it that cannot be read
  std::size_t others = 0;                    ///< files of other kinds
};

/// The documents at a path: a file, or a folder with all folders in it, or a link to one of these, since that is what was asked
/// for. README.md describes a folder and is none; names that begin with a point are passed over. Of two files that would be the
/// same document, the second by its path is refused. `not_found` if there is nothing, `too_large` for too many files.
Result<DocumentFiles> find_documents(const std::filesystem::path& path, const DocumentLimits& limits = {});

/// A file's bytes, and what names them.
struct DocumentBytes {
  std::string bytes;
  std::string content_hash;
};
Result<DocumentBytes> read_document(const DocumentFile& file, const DocumentLimits& limits = {});

/// Sections as markdown.hpp makes them; of plain text, paragraphs (between empty lines), as many together as fit into a
/// section. A section that is longer than `section_bytes_max` is divided at the ends of sentences (where one is longer still:
/// between words, or in the middle); its further parts are "key/2" and "name (2)". So ids are stable as long as a heading is.
///
/// Errors name the file. `invalid_argument`, with the byte: what is not UTF-8 (with a guess what it is), or has a zero byte,
/// which no text has. What no corpus takes (`check_document` of corpus_documents.hpp): a name of two lines or that is not
/// UTF-8, a title or heading that is too long.
Result<Document> parse_document(const DocumentFile& file, const DocumentBytes& bytes, const DocumentLimits& limits = {});

}  // namespace troupe::storage
