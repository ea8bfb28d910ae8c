DROP TABLE email_links;
DROP TABLE email_mails;
DROP TABLE email_news;
DROP TABLE email_addresses;
