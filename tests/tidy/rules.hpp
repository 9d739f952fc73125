// The rules of the house that a program can check, as functions of files: each says what breaks it, where, and what to do.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tidy/repository.hpp"

namespace troupe::tidy {

struct Finding {
  std::string path;
  int line = 0;  ///< from 1; 0: the file as a whole
  std::string text;
};
/// "path:line: text", as editors understand it.
std::ostream& operator<<(std::ostream& stream, const Finding& finding);

using Findings = std::vector<Finding>;

/// The largest source file, line and repository.
inline constexpr int lines_max = 500;
inline constexpr int columns_max = 140;
inline constexpr std::uintmax_t tree_bytes_max = std::uintmax_t{50} << 20;

// Rules of one file.

/// A folder includes only folders that stand before it in the order of the house, by their path from the root; policy/
/// includes nothing but base/ and the standard library.
Findings check_layers(const File& file);
/// A library is included only where its door is.
Findings check_doors(const File& file);
/// What decides bits calls no exp, log, pow, sin or cos of libm.
Findings check_mathematics(const File& file);
Findings check_pragma_once(const File& file);
/// No tabs, no trailing spaces, no carriage returns, a line feed at the end; short lines, short files.
Findings check_text(const File& file);
/// Nothing that is left to do is left in a comment.
Findings check_reminders(const File& file);
/// No flag or attribute lets a compiler reorder arithmetic.
Findings check_arithmetic_flags(const File& file);
/// Commands can be run, and say with what.
Findings check_commands(const File& file);
/// A file with tests has a name and a place that tests/CMakeLists.txt builds.
Findings check_tests_are_built(const File& file);
/// Only known files and folders at the top.
Findings check_top_level(const File& file);

// Rules of all files.

/// Every folder has its line in docs/architecture.md.
Findings check_folders_are_described(std::span<const File> files);
/// Relative links and names of files in Markdown lead somewhere.
Findings check_links(std::span<const File> files);
Findings check_size(std::span<const File> files);

}  // namespace troupe::tidy
