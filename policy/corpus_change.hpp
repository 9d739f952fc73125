// The documents that a node answers from, as values: what they say, what an operator changes of them, and what is then there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/retrieval.hpp"

namespace troupe::policy {

/// What is searched, and what a prompt has.
struct Section {
  std::string key;   ///< "records-policy-2024-02-15#3.2", unique in its corpus
  std::string name;  ///< "Records Policy (2024-02-15) §3.2", as prompts and clients see it
  std::string text;  ///< one line
  /// "Audit logs", if the name does not say it: searched, but in no prompt, for the bundled models have seen none there.
  std::string heading = {};
  friend bool operator==(const Section&, const Section&) = default;
};

struct Document {
  std::string name;          ///< what stands before "#" in the keys of its sections
  std::string content_hash;  ///< of its file: SHA-256, hexadecimal; empty if that is not known
  std::vector<Section> sections;
  friend bool operator==(const Document&, const Document&) = default;
};

/// A document without what it says.
struct DocumentEntry {
  std::string name;
  std::string content_hash;
  std::uint32_t sections = 0;
  friend bool operator==(const DocumentEntry&, const DocumentEntry&) = default;
};

/// A part of the list of a corpus's documents.
struct DocumentPage {
  static constexpr std::uint32_t documents_max = 1024;
  std::string version;  ///< of the corpus; pages of two versions do not belong together. Empty: there is none
  std::vector<DocumentEntry> documents;
  bool more = false;  ///< there are further ones
  friend bool operator==(const DocumentPage&, const DocumentPage&) = default;
};

/// What is to become of a corpus, at once or not at all.
struct CorpusChange {
  std::vector<Document> documents;   ///< each in the place of the one of its name, if there is one
  std::vector<std::string> removed;  ///< names
  friend bool operator==(const CorpusChange&, const CorpusChange&) = default;
};

/// The corpus of a node.
struct CorpusView {
  std::string node;
  std::string version;
  std::uint32_t documents = 0;
  std::uint32_t sections = 0;
  friend bool operator==(const CorpusView&, const CorpusView&) = default;
};

/// What a search finds, for a person who wants to see it.
struct SearchHit {
  Section section;
  std::string via;  ///< the key of the section from which a second search found it; empty: the first one did
  friend bool operator==(const SearchHit&, const SearchHit&) = default;
};
struct SearchHits {
  static constexpr std::uint32_t hits_max = 64;
  static constexpr std::size_t question_bytes_max = std::size_t{64} << 10;
  RetrievalEvidence evidence;
  std::vector<SearchHit> hits;  ///< the best first
  friend bool operator==(const SearchHits&, const SearchHits&) = default;
};

/// The documents after a change, ascending by name, which is the order of a corpus. `not_found` for the removal of what is not
/// there; `invalid_argument` if a change contradicts itself, or a document is none: it has no name or no sections, or one of
/// them has a key of another document.
Result<std::vector<Document>> changed(std::vector<Document> documents, CorpusChange change);

}  // namespace troupe::policy
